import type { DataSource, EntityTarget } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import type { SessionEvent } from '../core/events.js';
import type { SessionStore } from '../core/store.js';
import { TimeAlone } from './cache/announcements.js';
import { CachingStore } from './cache/caching.store.js';
import type { CacheLimits } from './cache/session-cache.js';
import { dialectFor } from './dialects/dialects.js';
import type { SessionColumns } from './entities/session-columns.js';
import { sessionTable } from './session-table.js';
import { TransactionEnds } from './transaction-ends.js';
import { TypeOrmSessionStore, type StoreLimits, type StoreParts } from './typeorm-session.store.js';

/**
 * The store for a data source's database; says so where there is none.
 *
 * @param warn is told of a set-up that works and will hurt.
 * @param cache what it remembers of what it has loaded. Default: nothing.
 * @param emit is told what becomes of the cache.
 */
export function createStore(
  dataSource: DataSource,
  entity: EntityTarget<SessionColumns>,
  { preparedStatements = false, ...limits }: StoreLimits & { readonly preparedStatements?: boolean },
  warn: (sentence: string) => void,
  cache?: CacheLimits,
  emit: (event: SessionEvent) => void = () => {},
): SessionStore {
  if (!dataSource.isInitialized) {
    throw new SessionConfigError(
      'The TypeORM data source is not initialized when the application starts. Remove manualInitialization from its options.',
    );
  }
  const parts = partsOf(dataSource, entity, warn, preparedStatements);
  const { dialect, connection, table } = parts;
  const announcements = cache && dialect.announcements?.(dataSource, table, connection.runner, { emit, warn });
  const store = new TypeOrmSessionStore({ ...parts, announces: announcements !== undefined }, limits);
  return cache ? new CachingStore(store, cache, announcements ?? new TimeAlone()) : store;
}

/**
 * The same without a cache, for an initialized data source: it can do more than the port says.
 *
 * @param warn is told of a set-up that works and will hurt.
 */
export function createTypeOrmStore(
  dataSource: DataSource,
  entity: EntityTarget<SessionColumns>,
  limits: StoreLimits,
  warn: (sentence: string) => void,
): TypeOrmSessionStore {
  return new TypeOrmSessionStore({ ...partsOf(dataSource, entity, warn), announces: false }, limits);
}

function partsOf(
  dataSource: DataSource,
  entity: EntityTarget<SessionColumns>,
  warn: (sentence: string) => void,
  prepares = false,
): Omit<StoreParts, 'announces'> {
  const dialect = dialectFor(dataSource.options.type);
  if (prepares && !dialect.preparesStatements) {
    throw new SessionConfigError(
      `preparedStatements is for PostgreSQL, and the data source is of type ${dataSource.options.type}. Leave it out.`,
    );
  }
  const table = sessionTable(dataSource, entity, dialect.columnsName);
  const connection = dialect.connect(dataSource, warn, prepares);
  return { dataSource, dialect, connection, table, transactionEnds: new TransactionEnds(dataSource) };
}

/** A store of the application's own with a cache: what nodes have to tell each other it cannot announce. */
export function cacheByTime(store: SessionStore, cache: CacheLimits): SessionStore {
  return new CachingStore(store, cache, new TimeAlone());
}
