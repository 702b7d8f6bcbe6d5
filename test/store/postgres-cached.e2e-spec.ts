import { SessionEntity } from 'nestjs-typeorm-session';
import { MemorySessionStore, describeSessionStore } from 'nestjs-typeorm-session/testing';
import { cacheByTime } from '../../libs/session/src/storage/create-store.js';
import { createDatabase } from '../support/database.js';
import { describeStoreOn } from './support/describe-store.js';

/** Milliseconds: long enough for what a test reads twice, short enough to wait for where a row is changed past the store. */
const MAX_AGE = 50;
const CACHE = { maxSessions: 1_000, maxBytes: 1_000_000, maxAge: MAX_AGE };

describeStoreOn({
  name: 'PostgreSQL with a cache',
  entity: SessionEntity,
  cache: CACHE,
  async create() {
    const { url, drop } = await createDatabase();
    return { typeorm: { type: 'postgres', url }, drop };
  },
});

describeSessionStore('[conformance] a store of memory with a cache', () =>
  Promise.resolve({ store: cacheByTime(new MemorySessionStore(), CACHE) }),
);
