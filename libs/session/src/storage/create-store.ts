import type { DataSource, EntityTarget } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import type { SessionStore } from '../core/store.js';
import { postgresDialect } from './dialects/postgres.js';
import type { SessionColumns } from './entities/session-columns.js';
import { PostgresRunner } from './postgres-runner.js';
import { sessionTable } from './session-table.js';
import { TypeOrmSessionStore, type StoreLimits } from './typeorm-session.store.js';

/** The store for a data source's database; says so where there is none. */
export function createStore(
  dataSource: DataSource,
  entity: EntityTarget<SessionColumns>,
  limits: StoreLimits,
): SessionStore {
  const { type } = dataSource.options;
  if (type !== postgresDialect.type) {
    throw new SessionConfigError(`Sessions cannot be kept in a database of type "${type}" yet: only in "postgres".`);
  }
  const table = sessionTable(dataSource, entity);
  const runner = new PostgresRunner(dataSource);
  return new TypeOrmSessionStore(runner, postgresDialect.statements(table), table, limits);
}
