import { Table, type MigrationInterface, type QueryRunner } from 'typeorm';
import { dialectFor } from '../dialects/dialects.js';

/** Creates the table of the session entity of the data source's database. List it in the data source's `migrations`. */
export class CreateSessions1764000000000 implements MigrationInterface {
  readonly name = 'CreateSessions1764000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    const { table, tableSettings = [] } = dialectFor(queryRunner.connection.options.type);
    await queryRunner.createTable(new Table(table));
    for (const sql of tableSettings) await queryRunner.query(sql);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropTable('sessions');
  }
}
