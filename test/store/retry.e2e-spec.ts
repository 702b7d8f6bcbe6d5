import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionEntity, type SessionRef, type SessionStore } from 'nestjs-typeorm-session';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { times } from '../support/lab.js';
import { OwnPostgres } from '../support/own-postgres.js';
import { poolOf, untilPoolIsEmpty } from '../support/pool.js';

const HOUR = 3_600_000;
const POOL_SIZE = 5;

describe('[retry] a store on PostgreSQL', () => {
  let database: TestDatabase;
  let name: string;
  let dataSource: DataSource;
  let store: SessionStore;
  let ref: SessionRef;

  beforeAll(async () => {
    database = await createDatabase();
    name = new URL(database.url).pathname.slice(1);
    await migrate(database.url);
    ({ dataSource, store } = await open(database.url));
  });
  beforeEach(async () => {
    ref = await create(store);
  });
  afterAll(async () => {
    await dataSource?.destroy();
    await database?.drop();
  });

  /** As many connections as the pool may have. */
  const fillPool = async () => {
    const pool = poolOf(dataSource);
    await untilPoolIsEmpty(dataSource);
    const clients = await times(POOL_SIZE, () => pool.connect());
    for (const client of clients) client.release();
  };
  /** So that the library has had each of them. */
  const useAll = () => times(2 * POOL_SIZE, () => store.find([randomBytes(32)]).then(() => store.read(ref, 'n')));
  const closeAll = () =>
    database.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );

  it('writes to the primary when all connections were made while it only read', async () => {
    await database.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    await closeAll();
    try {
      await fillPool();
      await useAll();
      // Reads are answered, and writes say that there is nobody to take them.
      expect(await store.find([ref.tokenHash])).toMatchObject([{ status: 'live' }]);
      const refused = store.apply(ref, { kind: 'increment', key: 'n', by: 1 });
      await expect(refused).rejects.toMatchObject({ failure: 'unavailable', reason: '25006' });
      await closeAll();
      await fillPool();
      await useAll();
    } finally {
      await database.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    }
    // The connections are as they were: each that is met is given up, and nobody is told.
    expect(await store.apply(ref, { kind: 'increment', key: 'n', by: 1 })).toMatchObject({
      status: 'applied',
      value: '1',
    });
    expect(await store.update(ref, { set: { a: '1' }, unset: [] }, HOUR)).toMatchObject({ status: 'applied' });
    const others = await times(POOL_SIZE, () => create(store));
    expect(others).toHaveLength(POOL_SIZE);
  });

  it('writes in company to the primary as well', async () => {
    const refs = await times(8, () => create(store));
    await database.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    await closeAll();
    try {
      await fillPool();
      await useAll();
    } finally {
      await database.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    }
    const outcomes = await Promise.all(refs.map((one) => store.update(one, { set: { a: '1' }, unset: [] }, HOUR)));
    expect(outcomes.map(({ status }) => status)).toEqual(Array(8).fill('applied'));
  });

  it('does not care that somebody left a failed transaction on a connection', async () => {
    const runner = dataSource.createQueryRunner();
    const client = (await runner.connect()) as pg.PoolClient;
    await client.query('BEGIN');
    await client.query('SELECT 1 / 0').catch(() => undefined);
    await runner.release();
    const counted = await times(POOL_SIZE, () => store.apply(ref, { kind: 'increment', key: 'n', by: 1 }));
    expect(counted.map(({ status }) => status)).toEqual(Array(POOL_SIZE).fill('applied'));
  });

  it('reads again where its backend was terminated, and says so of a write', async () => {
    const blocker = new pg.Client({ connectionString: database.url });
    await blocker.connect();
    const whileWaiting = async <R>(lock: string, work: () => Promise<R>) => {
      await blocker.query('BEGIN');
      await blocker.query(lock);
      const result = work();
      result.catch(() => undefined);
      await eventually(async () => {
        const killed = await database.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        return killed.length > 0;
      });
      await blocker.query('COMMIT');
      return result;
    };
    const read = () => store.find([ref.tokenHash]);
    expect(await whileWaiting('LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE', read)).toMatchObject([
      { status: 'live' },
    ]);
    const write = () => store.apply(ref, { kind: 'increment', key: 'n', by: 1 });
    await expect(whileWaiting('SELECT id FROM sessions FOR UPDATE', write)).rejects.toMatchObject({
      failure: 'unknown',
    });
    expect(await store.read(ref, 'n')).toMatchObject({ value: '0' });
    await blocker.end();
  });
});

describe('[retry] a store on a PostgreSQL that goes away and comes back', () => {
  it.each([
    ['stopped fast', 'SIGINT'],
    ['stopped at once', 'SIGQUIT'],
    ['one backend killed, after which it recovers', 'SIGKILL'],
  ] as const)(
    'loses nothing that it acknowledged, and heals by itself: %s',
    async (_, signal) => {
      const server = await OwnPostgres.start();
      let dataSource: DataSource | undefined;
      let isOver = false;
      try {
        await migrate(server.url);
        const opened = await open(server.url);
        ({ dataSource } = opened);
        const { store } = opened;
        const ref = await create(store);
        const failures: { failure?: string }[] = [];
        let acknowledged = 0;
        const writing = times(4, async () => {
          while (!isOver) {
            await store.apply(ref, { kind: 'increment', key: 'n', by: 1 }).then(
              () => (acknowledged += 1),
              (error: object) => failures.push(error),
            );
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        });
        await eventually(() => acknowledged > 20);
        if (signal === 'SIGKILL') await killBackend(server.url);
        else server.signal(signal);
        await eventually(() => failures.length > 0, 15_000);
        if (signal !== 'SIGKILL') await server.startAgain();
        const before = acknowledged;
        await eventually(() => acknowledged > before + 20, 15_000);
        isOver = true;
        await writing;

        const found = await store.read(ref, 'n');
        const n = Number('value' in found ? found.value : undefined);
        const unknown = failures.filter(({ failure }) => failure === 'unknown').length;
        expect(failures.map(({ failure }) => failure).filter((failure) => failure !== 'unknown')).toEqual(
          Array(failures.length - unknown).fill('unavailable'),
        );
        expect(n).toBeGreaterThanOrEqual(acknowledged);
        expect(n).toBeLessThanOrEqual(acknowledged + unknown);
      } finally {
        isOver = true;
        await dataSource?.destroy();
        await server.remove();
      }
    },
    60_000,
  );

  const killBackend = async (url: string) => {
    const admin = new pg.Client({ connectionString: url });
    admin.on('error', () => undefined);
    await admin.connect();
    const { rows } = await admin.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE query LIKE 'UPDATE%' AND pid <> pg_backend_pid() LIMIT 1",
    );
    process.kill(rows[0]!.pid, 'SIGKILL');
    await admin.end().catch(() => undefined);
  };
});

async function open(url: string) {
  const extra = { max: POOL_SIZE, connectionTimeoutMillis: 1_000 };
  const options = { entities: [SessionEntity], extra };
  const dataSource = await new DataSource({ type: 'postgres', url, ...options }).initialize();
  const limits = { deadline: 5_000, maxBytes: 65_536 };
  return { dataSource, store: createStore(dataSource, SessionEntity, limits, () => undefined) };
}

async function create(store: SessionStore): Promise<SessionRef> {
  const ref = { id: randomUUID(), tokenHash: randomBytes(32) };
  const lifetime = { idleTimeout: HOUR, absoluteTimeout: 10 * HOUR, persistent: true };
  await store.create({ ...ref, ...lifetime, userId: undefined, data: { n: '0' } });
  return ref;
}
