import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import { SessionConfigError } from '../../core/errors.js';
import { dialectFor } from '../dialects/dialects.js';
import type { DatabaseFunction } from '../dialects/dialect.js';
import { sessionEntitiesIn, sessionTable } from '../session-table.js';

/**
 * Creates functions in PostgreSQL for what nearly all requests send, in the schema of the session table: the database keeps their
 * plans, whatever pools connections in front of it. The module finds them when the application starts, and does without them
 * where they are not there. Does nothing on other databases. List it in the data source's `migrations`, and the session
 * entity in its `entities`.
 *
 * @throws SessionConfigError where the data source has no session entity.
 */
export class CreateSessionFunctions1764300000000 implements MigrationInterface {
  readonly name = 'CreateSessionFunctions1764300000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    for (const { create } of functionsOf(queryRunner.connection)) await queryRunner.query(create);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const { drop } of functionsOf(queryRunner.connection)) await queryRunner.query(drop);
  }
}

function functionsOf(dataSource: DataSource): DatabaseFunction[] {
  const { functions, columnsName } = dialectFor(dataSource.options.type);
  if (!functions) return [];
  const entities = sessionEntitiesIn(dataSource);
  if (entities.length === 0) {
    throw new SessionConfigError(
      'The functions of sessions are made for the table of a session entity, and the data source has none. ' +
        'List the one that the application uses in its `entities`, such as SessionEntity.',
    );
  }
  return entities.flatMap(({ target }) => functions(sessionTable(dataSource, target, columnsName)));
}
