import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionEntity } from 'nestjs-typeorm-session';
import pg from 'pg';
import { DataSource } from 'typeorm';
import type { SessionStore } from '../../libs/session/src/core/store.js';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';

const LIMITS = { deadline: 15_000, maxBytes: 65_536 };

describe('[cleanup] the clean-up of a partitioned table on PostgreSQL', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let store: SessionStore;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    await database.query('ALTER TABLE sessions RENAME TO plain');
    await database.query('CREATE TABLE sessions (LIKE plain) PARTITION BY HASH (id)');
    for (const part of [0, 1]) {
      await database.query(
        `CREATE TABLE sessions_${part} PARTITION OF sessions FOR VALUES WITH (MODULUS 2, REMAINDER ${part})`,
      );
    }
    dataSource = await new DataSource({ type: 'postgres', url: database.url, entities: [SessionEntity] }).initialize();
    store = createStore(dataSource, SessionEntity, LIMITS, () => {});
  });
  beforeEach(() => database.query('TRUNCATE sessions'));
  afterAll(async () => {
    await dataSource?.destroy();
    await database?.drop();
  });

  /** Expired a while ago, `hours` of it. Ids are drawn until enough have come to each part. */
  const fill = (part: number, rows: number, hours: number) =>
    database.query(
      `INSERT INTO sessions (id, token_hash, data, version, created_at, touched_at, expires_at, absolute_expires_at, idle_timeout, persistent, last_write)
       SELECT id, sha256(id::text::bytea), '{}', 1, now(), now(), now() - $3 * interval '1 hour', now() + interval '1 day', 1000, true, id
       FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 200)) AS ids
       WHERE satisfies_hash_partition('sessions'::regclass, 2, $1::integer, id) LIMIT $2`,
      [part, rows, hours],
    );

  /** Works while somebody holds the first row of the first part. */
  const whileLocked = async <R>(work: () => Promise<R>): Promise<R> => {
    const writer = new pg.Client({ connectionString: database.url });
    await writer.connect();
    try {
      await writer.query('BEGIN');
      await writer.query("SELECT 1 FROM sessions_0 WHERE ctid = '(0,1)' FOR UPDATE");
      return await work();
    } finally {
      await writer.end();
    }
  };

  it('steps around a locked row, and around its namesake in another part', async () => {
    // The parts number their places alike, so the first row of each has the same one.
    await fill(0, 3, 1);
    await fill(1, 3, 2);
    const deleted = await whileLocked(() => store.deleteExpired(3));
    expect(deleted).toBe(3);
    expect(
      await database.query('SELECT tableoid::regclass::text AS part, count(*)::int FROM sessions GROUP BY 1'),
    ).toEqual([{ part: 'sessions_0', count: 3 }]);
  });

  it('deletes what is not locked, and no more than it is told to', async () => {
    await fill(0, 5, 1);
    await fill(1, 5, 1);
    const deleted = await whileLocked(async () => {
      const counts = [];
      for (let batch = 0; batch < 4; batch++) counts.push(await store.deleteExpired(4));
      return counts;
    });
    expect(deleted).toEqual([4, 4, 1, 0]);
    expect(await store.deleteExpired(4)).toBe(1);
  });
});
