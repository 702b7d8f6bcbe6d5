import type { DataSource, EntityTarget } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import type { SessionStore } from '../core/store.js';
import { postgresDialect } from './dialects/postgres.js';
import type { SessionColumns } from './entities/session-columns.js';
import { PostgresRunner } from './postgres-runner.js';
import { sessionTable } from './session-table.js';
import { TypeOrmSessionStore, type StoreLimits } from './typeorm-session.store.js';

/**
 * The store for a data source's database; says so where there is none.
 *
 * @param warn is told of a set-up that works and will hurt.
 */
export function createStore(
  dataSource: DataSource,
  entity: EntityTarget<SessionColumns>,
  limits: StoreLimits,
  warn: (sentence: string) => void,
): SessionStore {
  const { type } = dataSource.options;
  if (type !== postgresDialect.type) {
    throw new SessionConfigError(`Sessions cannot be kept in a database of type "${type}" yet: only in "postgres".`);
  }
  if (!dataSource.isInitialized) {
    throw new SessionConfigError(
      'The TypeORM data source is not initialized when the application starts. Remove manualInitialization from its options.',
    );
  }
  const table = sessionTable(dataSource, entity);
  const runner = new PostgresRunner(dataSource);
  if (!runner.limitsConnecting) {
    warn(
      'The data source sets no time limit on connecting, so a database that stops answering can fill the pool for minutes. ' +
        'Set connectTimeoutMS (2000, say) in TypeOrmModule.forRoot().',
    );
  }
  return new TypeOrmSessionStore(runner, postgresDialect.statements(table), table, limits);
}
