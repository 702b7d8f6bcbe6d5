import { setTimeout as delay } from 'node:timers/promises';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import {
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  type SessionColumns,
} from 'nestjs-typeorm-session';
import { describeSessionStore } from 'nestjs-typeorm-session/testing';
import { DataSource, type DataSourceOptions, type EntityTarget } from 'typeorm';
import type { CacheLimits } from '../../../libs/session/src/storage/cache/session-cache.js';
import { createStore } from '../../../libs/session/src/storage/create-store.js';
import { withoutTouch } from './without-touch.js';

/** A kind of database, and how to get an empty one. */
export interface StoreDatabase {
  readonly name: string;
  readonly entity: EntityTarget<SessionColumns>;
  create(): Promise<{ readonly typeorm: Partial<TypeOrmModuleOptions>; drop(): Promise<void> }>;
  readonly cache?: CacheLimits;
  readonly preparedStatements?: boolean;
  /** Statements that the database keeps as functions. */
  readonly functions?: boolean;
}

const MAX_BYTES = 65_536;

/** Runs the conformance suite on the SQL store. */
export function describeStoreOn(stored: StoreDatabase): void {
  const { name, entity, create, cache, preparedStatements = false, functions = false } = stored;
  let dataSource: DataSource;

  /** Changes a row past the store. */
  const alter = async (id: string, values: object, parameters: object = {}) => {
    // Nobody tells the store, so what it remembers has to be too old by then.
    if (cache) await delay(cache.maxAge);
    const query = dataSource.createQueryBuilder().update(entity).set(values).where({ id }).setParameters(parameters);
    await query.execute();
  };

  describeSessionStore(
    `[conformance] the store on ${name}`,
    async () => {
      const database = await create();
      dataSource = new DataSource({
        ...database.typeorm,
        entities: [entity],
        migrations: [CreateSessions1764000000000, ...(functions ? [CreateSessionFunctions1764300000000] : [])],
        migrationsRun: true,
      } as DataSourceOptions);
      await dataSource.initialize();
      // Many requests at once on one row are no measure of speed.
      const limits = { deadline: 15_000, maxBytes: MAX_BYTES, preparedStatements };
      const store = createStore(dataSource, entity, limits, () => {}, cache);
      // It is listened before the first test, so that the tests are about a cache that works; and functions are looked for.
      if (cache || functions) await store.check();
      const close = async () => {
        await dataSource.destroy();
        await database.drop();
      };
      return { store: functions ? withoutTouch(store) : store, close };
    },
    {
      maxBytes: MAX_BYTES,
      // The database runs on this machine, so its clock is ours.
      expire: (id, inMilliseconds) => alter(id, { expiresAt: new Date(Date.now() + inMilliseconds) }),
      plant: (id, dataText) => alter(id, { data: () => ':dataText' }, { dataText }),
    },
  );
}
