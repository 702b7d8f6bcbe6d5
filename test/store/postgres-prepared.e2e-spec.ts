import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CreateSessions1764000000000,
  SessionEntity,
  SqliteSessionEntity,
  type SessionStore,
} from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import { createDatabase } from '../support/database.js';
import { describeStoreOn } from './support/describe-store.js';

describeStoreOn({
  name: 'PostgreSQL with prepared statements',
  entity: SessionEntity,
  preparedStatements: true,
  async create() {
    const { url, drop } = await createDatabase();
    return { typeorm: { type: 'postgres', url }, drop };
  },
});

const LIMITS = { deadline: 5_000, maxBytes: 65_536 };
const LIFETIME = { idleTimeout: 60_000, absoluteTimeout: 600_000, persistent: true };

describe('[prepared] statements with names', () => {
  let database: Awaited<ReturnType<typeof createDatabase>>;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await createDatabase();
    dataSource = await open(1);
  });
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const open = (poolSize: number) =>
    new DataSource({
      type: 'postgres',
      url: database.url,
      entities: [SessionEntity],
      migrations: [CreateSessions1764000000000],
      migrationsRun: true,
      poolSize,
    }).initialize();

  const prepared = async () => {
    const rows = await dataSource.query<{ name: string }[]>('SELECT name FROM pg_prepared_statements');
    return rows.map(({ name }) => name);
  };

  async function useOnce(store: SessionStore) {
    const ref = { id: randomUUID(), tokenHash: randomBytes(32) };
    await store.create({ ...ref, ...LIFETIME, userId: undefined, data: { a: '1' } });
    await store.update(ref, { set: { b: '2' }, unset: [] }, 60_000);
    return store.find([ref.tokenHash]);
  }

  it('are prepared once for each text, and only where it is asked for', async () => {
    await useOnce(createStore(dataSource, SessionEntity, LIMITS, () => {}));
    expect(await prepared()).toEqual([]);
    const store = createStore(dataSource, SessionEntity, { ...LIMITS, preparedStatements: true }, () => {});
    for (let times = 0; times < 3; times++) await useOnce(store);
    const names = await prepared();
    expect(names).toHaveLength(3);
    for (const name of names) expect(name).toMatch(/^session_[0-9a-f]{32}$/);
  });

  it('whose plan fits the table no more are done on another connection', async () => {
    const store = createStore(dataSource, SessionEntity, { ...LIMITS, preparedStatements: true }, () => {});
    await useOnce(store);
    const other = await open(1);
    try {
      await other.query('ALTER TABLE sessions ALTER COLUMN user_id TYPE text');
    } finally {
      await other.destroy();
    }
    expect(await useOnce(store)).toMatchObject([{ status: 'live' }]);
  });

  it('that a pooler gave to somebody else are done on another connection', async () => {
    const store = createStore(dataSource, SessionEntity, { ...LIMITS, preparedStatements: true }, () => {});
    await useOnce(store);
    await dataSource.query('DEALLOCATE ALL');
    expect(await useOnce(store)).toMatchObject([{ status: 'live' }]);
  });

  it('are refused where the database has none', async () => {
    const sqlite = await new DataSource({ type: 'sqljs', entities: [SqliteSessionEntity] }).initialize();
    expect(() => createStore(sqlite, SqliteSessionEntity, { ...LIMITS, preparedStatements: true }, () => {})).toThrow(
      'preparedStatements is for PostgreSQL, and the data source is of type sqljs. Leave it out.',
    );
    await sqlite.destroy();
  });
});
