import { randomBytes, randomUUID } from 'node:crypto';
import { CreateSessions1764000000000, type SessionRef, type SessionStore } from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import type { DatabaseKind, OpenDatabase } from './databases.js';

const HOUR = 3_600_000;

/** A store on a migrated database, past Nest. */
export interface StoreOn {
  readonly database: OpenDatabase;
  readonly dataSource: DataSource;
  readonly store: SessionStore;
  /** Sessions that live for so long. */
  create(count: number, milliseconds?: number): Promise<SessionRef[]>;
  /** How many rows there are. */
  count(): Promise<number>;
  close(): Promise<void>;
}

export async function openStoreOn(kind: DatabaseKind): Promise<StoreOn> {
  const database = await kind.create();
  const options = {
    ...database.typeorm,
    entities: [kind.entity],
    migrations: [CreateSessions1764000000000],
    migrationsRun: true,
  };
  const dataSource = await new DataSource(options as DataSourceOptions).initialize();
  const limits = { deadline: 15_000, maxBytes: 65_536 };
  const store = createStore(dataSource, kind.entity, limits, () => undefined);
  const createOne = async (milliseconds: number) => {
    const ref = { id: randomUUID(), tokenHash: randomBytes(32) };
    const lifetime = { idleTimeout: milliseconds, absoluteTimeout: 10 * HOUR, persistent: true };
    await store.create({ ...ref, ...lifetime, userId: undefined, data: { a: '1' } });
    return ref;
  };
  return {
    database,
    dataSource,
    store,
    create: (count, milliseconds = HOUR) => Promise.all(Array.from({ length: count }, () => createOne(milliseconds))),
    count: () => dataSource.getRepository(kind.entity).count(),
    async close() {
      await store.close!();
      await dataSource.destroy();
      await database.drop();
    },
  };
}
