import type { DataSource, EntityTarget } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import type { SessionStore } from '../core/store.js';
import { dialectFor } from './dialects/dialects.js';
import type { SessionColumns } from './entities/session-columns.js';
import { sessionTable } from './session-table.js';
import { TransactionEnds } from './transaction-ends.js';
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
  const dialect = dialectFor(dataSource.options.type);
  if (!dataSource.isInitialized) {
    throw new SessionConfigError(
      'The TypeORM data source is not initialized when the application starts. Remove manualInitialization from its options.',
    );
  }
  const table = sessionTable(dataSource, entity, dialect.columnsName);
  const connection = dialect.connect(dataSource, warn);
  const transactionEnds = new TransactionEnds(dataSource);
  return new TypeOrmSessionStore({ dataSource, dialect, connection, table, transactionEnds }, limits);
}
