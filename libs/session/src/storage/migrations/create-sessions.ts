import { Table, type MigrationInterface, type QueryRunner } from 'typeorm';

/** Creates the table of `SessionEntity` on PostgreSQL. List it in the data source's `migrations`. */
export class CreateSessions1764000000000 implements MigrationInterface {
  readonly name = 'CreateSessions1764000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.createTable(
      new Table({
        name: 'sessions',
        columns: [
          { name: 'id', type: 'uuid', isPrimary: true },
          { name: 'token_hash', type: 'bytea' },
          { name: 'data', type: 'jsonb' },
          { name: 'user_id', type: 'varchar', length: '255', isNullable: true },
          { name: 'version', type: 'integer' },
          { name: 'created_at', type: 'timestamptz' },
          { name: 'touched_at', type: 'timestamptz' },
          { name: 'expires_at', type: 'timestamptz' },
          { name: 'absolute_expires_at', type: 'timestamptz' },
          { name: 'idle_timeout', type: 'bigint' },
          { name: 'persistent', type: 'boolean' },
          { name: 'previous_token_hash', type: 'bytea', isNullable: true },
          { name: 'previous_token_until', type: 'timestamptz', isNullable: true },
          { name: 'last_write', type: 'uuid' },
        ],
        indices: [
          { columnNames: ['token_hash'], isUnique: true },
          { columnNames: ['user_id'] },
          { columnNames: ['expires_at'] },
          { columnNames: ['previous_token_hash'] },
        ],
      }),
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropTable('sessions');
  }
}
