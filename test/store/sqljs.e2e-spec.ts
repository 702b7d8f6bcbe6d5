import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SqliteSessionEntity, type SessionRef, type SessionStore, type TransactionEnd } from 'nestjs-typeorm-session';
import type { DataSource } from 'typeorm';
import { startApp, type TestApp } from '../support/app.js';
import { LabController } from '../support/lab.js';
import { createSession, createSqlJs, dataOf, openStore, type OpenStore } from '../support/sqlite-database.js';
import { describeStoreOn } from './support/describe-store.js';

const HOUR = 3_600_000;
/** Deeper than SQLite reads. */
const DEEP = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`;

describeStoreOn({ name: 'sql.js', entity: SqliteSessionEntity, create: () => createSqlJs() });

describe('[sqlite] a store on sql.js', () => {
  let opened: OpenStore;
  let dataSource: DataSource;
  let store: SessionStore;

  beforeEach(async () => {
    opened = await openStore({ type: 'sqljs' });
    ({ dataSource, store } = opened);
  });
  afterEach(() => opened.close());

  const sql = (text: string, parameters?: unknown[]) => dataSource.query(text, parameters);
  const statuses = async ({ tokenHash }: SessionRef) => (await store.find([tokenHash])).map(({ status }) => status);

  it('has the table that the entity describes', async () => {
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('has the table that docs/sql/sqlite.sql makes', async () => {
    const plain = await openStore({ type: 'sqljs' }, { migrate: false });
    sqlJsOf(plain.dataSource).exec(readFileSync('docs/sql/sqlite.sql', 'utf8'));
    const schemaOf = async (of: DataSource) => [
      await of.query("SELECT * FROM pragma_table_info('sessions')"),
      await of.query("SELECT name, rtrim(sql) FROM sqlite_master WHERE type = 'index' AND sql <> '' ORDER BY name"),
    ];
    expect(await schemaOf(plain.dataSource)).toEqual(await schemaOf(dataSource));
    const { upQueries } = await plain.dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
    await plain.store.check();
    await plain.close();
  });

  it('reads and writes entities with the types that they say', async () => {
    const ref = await createSession(store, { a: '{"b":[0.1]}' });
    await store.replace(ref, { tokenHash: Buffer.alloc(32, 7), isUnsent: false }, { set: {}, unset: [] }, HOUR);
    const sessions = dataSource.getRepository(SqliteSessionEntity);
    const row = await sessions.findOneByOrFail({ id: ref.id });
    expect(row).toMatchObject({ data: { a: { b: [0.1] } }, persistent: true, userId: null, idleTimeout: HOUR });
    expect(Buffer.isBuffer(row.tokenHash) && row.tokenHash.equals(Buffer.alloc(32, 7))).toBe(true);
    expect(row.previousTokenHash!.equals(ref.tokenHash)).toBe(true);
    expect(Math.abs(row.createdAt.getTime() - Date.now())).toBeLessThan(10_000);
    expect(row.expiresAt.getTime() - row.touchedAt.getTime()).toBe(HOUR);
    const before = await sql('SELECT * FROM sessions');
    await sessions.save({ ...row, data: { b: 1 } });
    await sessions.save({ ...row, data: row.data });
    expect(await sql('SELECT * FROM sessions')).toEqual(before);
    expect(await sessions.findBy({ tokenHash: row.tokenHash, expiresAt: row.expiresAt })).toHaveLength(1);
  });

  it('reads its clock in whole milliseconds, as this process does', async () => {
    const before = Date.now();
    const [now] = await sql(
      "SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) AS now, typeof(1) AS type",
    );
    expect(now.now).toBeGreaterThanOrEqual(before);
    expect(now.now).toBeLessThanOrEqual(Date.now());
    const exact: number[] = [1_764_000_000_001, 1_764_000_000_999, 4_102_444_800_007];
    for (const time of exact) {
      const [row] = await sql(
        `SELECT CAST(ROUND((julianday(${time / 1000}, 'unixepoch', 'subsec') - 2440587.5) * 86400000.0) AS INTEGER) AS time`,
      );
      expect(row.time).toBe(time);
    }
  });

  it('sets and deletes more keys at once than a function takes arguments', async () => {
    const keys = Array.from({ length: 600 }, (_, index) => `key "${index}"`);
    const ref = await createSession(store, Object.fromEntries(keys.map((key) => [key, '1'])));
    await store.update(ref, { set: Object.fromEntries(keys.map((key) => [`${key}'`, '2'])), unset: keys }, HOUR);
    expect(await dataOf(store, ref)).toEqual(Object.fromEntries(keys.map((key) => [`${key}'`, 2])));
    const keep = [...keys, ...keys.map((key) => `${key}'`)];
    const login = { userId: 'u', keep, idleTimeout: HOUR, absoluteTimeout: HOUR, persistent: true };
    const tokenHash = Buffer.alloc(32, 1);
    await store.replace(ref, { tokenHash, isUnsent: false, login }, { set: {}, unset: [] }, HOUR);
    expect(await dataOf(store, { ...ref, tokenHash })).toEqual(Object.fromEntries(keys.map((key) => [`${key}'`, 2])));
  });

  it('keeps the text of every number that it does not write', async () => {
    const ref = await createSession(store);
    const text = '{"a":1,"long":0.30000000000000004,"exponent":1E+2,"many":12345678901234567890,"zero":-0.0}';
    await sql('UPDATE sessions SET data = ?', [text]);
    await store.update(ref, { set: { a: '5e-324' }, unset: [] }, HOUR);
    await store.apply(ref, { kind: 'increment', key: 'b', by: 0.1 + 0.2 });
    const [row] = await sql('SELECT data FROM sessions');
    expect(row.data).toBe(`${text.replace('"a":1', '"a":5e-324').slice(0, -1)},"b":0.30000000000000004}`);
  });

  const UNREADABLE: [column: string, value: unknown][] = [
    ...['', '{', '{"a":1', "{'a':1}", '{a:1}', 'null', '[]', '"{}"', '1', 'NaN'].map((text): [string, unknown] => [
      'data',
      text,
    ]),
    ['data', DEEP],
    ['data', Buffer.from('{"a":1}')],
    ['data', Buffer.from([0x0c])],
    ['expires_at', 'never'],
    ['expires_at', '2999-01-01 00:00:00'],
    ['expires_at', Buffer.from('zz')],
    ['expires_at', Date.now() + HOUR + 0.5],
    ['expires_at', 1e300],
    ['absolute_expires_at', 'never'],
    ['touched_at', 'x'],
    ['idle_timeout', 'x'],
    ['idle_timeout', 1.5],
    ['version', 'x'],
    ['version', Buffer.from('1')],
    ['user_id', Buffer.from('u')],
  ];

  const unreadable = UNREADABLE.map(([column, value]) => [column, JSON.stringify(value).slice(0, 40), value] as const);

  it.each(unreadable)(
    'takes a session for unreadable whose %s is %s, and leaves it alone',
    async (column, _name, value) => {
      const other = await createSession(store);
      const ref = await createSession(store);
      await sql(`UPDATE sessions SET ${column} = ? WHERE id = ?`, [value, ref.id]);
      const before = await sql('SELECT * FROM sessions ORDER BY id');
      const found = await store.find([ref.tokenHash, other.tokenHash]);
      expect(found.map(({ status }) => status).sort()).toEqual(['live', 'unreadable']);
      expect(found.find(({ status }) => status === 'unreadable')).toEqual({ status: 'unreadable', id: ref.id });
      const delta = { set: { a: '2' }, unset: ['b'] };
      expect(await store.update(ref, delta, 0)).toEqual({ status: 'gone' });
      expect(await store.touch(ref, 0)).toBeUndefined();
      expect(await store.read(ref, 'a')).toEqual({ status: 'gone' });
      expect(await store.apply(ref, { kind: 'increment', key: 'a', by: 1 })).toEqual({ status: 'gone' });
      expect(await store.replace(ref, { tokenHash: Buffer.alloc(32), isUnsent: false }, delta, 0)).toEqual({
        status: 'gone',
      });
      expect(await sql('SELECT * FROM sessions ORDER BY id')).toEqual(before);
      expect(await store.delete(ref)).toEqual({ status: 'deleted' });
    },
  );

  it.each([0, -1, -9e15, '0', 1])('takes a session for expired that ends at %p', async (value) => {
    const ref = await createSession(store);
    await sql('UPDATE sessions SET expires_at = ?', [value]);
    expect(await statuses(ref)).toEqual([]);
    expect(await store.update(ref, { set: { a: '2' }, unset: [] }, 0)).toEqual({ status: 'gone' });
    expect(await store.deleteExpired(10)).toBe(1);
  });

  it.each(['never', Buffer.from('zz'), 1e300])('cleans up what would never end: %p', async (value) => {
    await createSession(store);
    const ref = await createSession(store);
    await sql('UPDATE sessions SET expires_at = ? WHERE id = ?', [value, ref.id]);
    expect([await store.deleteExpired(10), await store.deleteExpired(10)]).toEqual([1, 0]);
  });

  it('knows no token that is a text, or a replaced one for ever', async () => {
    const ref = await createSession(store);
    await sql('UPDATE sessions SET token_hash = ?, previous_token_hash = ?, previous_token_until = ?', [
      ref.tokenHash.toString('latin1'),
      ref.tokenHash,
      'never',
    ]);
    expect(await statuses(ref)).toEqual([]);
  });

  it('names a row whose id is no text, and cannot write to it', async () => {
    const ref = await createSession(store);
    await sql('UPDATE sessions SET id = ?', [Buffer.from('id')]);
    expect(await store.find([ref.tokenHash])).toEqual([{ status: 'unreadable', id: '6964' }]);
    expect(await store.delete(ref)).toEqual({ status: 'gone' });
  });

  it('is part of the transaction that it joins, and sees it', async () => {
    const ref = await createSession(store);
    await dataSource
      .transaction(async (manager) => {
        const joined = store.join!(manager);
        await joined.store.update(ref, { set: { a: '2' }, unset: [] }, HOUR);
        expect(await joined.store.apply(ref, { kind: 'increment', key: 'a', by: 1 })).toMatchObject({ value: '3' });
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect(await dataOf(store, ref)).toEqual({ a: 1 });
    let ended: Promise<TransactionEnd> | undefined;
    await dataSource.transaction(async (manager) => {
      const joined = store.join!(manager);
      await joined.store.update(ref, { set: { a: '2' }, unset: [] }, HOUR);
      ({ ended } = joined);
    });
    expect(await ended).toBe('committed');
    expect(await dataOf(store, ref)).toEqual({ a: 2 });
  });

  it('checks itself while the application is in a transaction', async () => {
    await dataSource.transaction(() => store.check());
    await store.check();
    expect(await sql('SELECT * FROM sessions')).toEqual([]);
  });

  it('is away when the data source is', async () => {
    const ref = await createSession(store);
    await dataSource.destroy();
    await expect(store.find([ref.tokenHash])).rejects.toMatchObject({ failure: 'unavailable' });
  });
});

describe('[sqlite] a table on sql.js that does not fit', () => {
  it('does not exist', async () => {
    const { store, close } = await openStore({ type: 'sqljs' }, { migrate: false });
    await expect(store.check()).rejects.toThrow('The session table "sessions" does not exist. Run the migration');
    await close();
  });

  it.each(['last_write', 'previous_token_hash', 'previous_token_until', 'user_id', 'data'])(
    'lacks the column %s',
    async (column) => {
      const { dataSource, store, close } = await openStore({ type: 'sqljs' });
      const indices: { name: string }[] = await dataSource.query(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE ?",
        [`%"${column}"%`],
      );
      for (const { name } of indices) await dataSource.query(`DROP INDEX "${name}"`);
      await dataSource.query(`ALTER TABLE sessions DROP COLUMN ${column}`);
      await expect(store.check()).rejects.toThrow('The session table "sessions" lacks a column of the session entity.');
      await close();
    },
  );

  it('is in a SQLite that is too old', async () => {
    const { dataSource, store, close } = await openStore({ type: 'sqljs' });
    sqlJsOf(dataSource).create_function('sqlite_version', () => '3.46.1');
    await expect(store.check()).rejects.toThrow(
      'Sessions need SQLite 3.47 or later, and the driver comes with 3.46.1.',
    );
    await close();
  });
});

describe('[sqlite] sql.js with autoSave', () => {
  const saved = jest.fn();
  let opened: OpenStore;

  beforeEach(async () => {
    saved.mockReset();
    opened = await openStore({ type: 'sqljs', autoSave: true, autoSaveCallback: saved });
    saved.mockClear();
  });
  afterEach(() => opened.close());

  it('saves after a write, and not after a read', async () => {
    const { store } = opened;
    const ref = await createSession(store);
    expect(saved).toHaveBeenCalledTimes(1);
    await store.find([ref.tokenHash]);
    await store.read(ref, 'a');
    expect(saved).toHaveBeenCalledTimes(1);
    await store.apply(ref, { kind: 'increment', key: 'a', by: 1 });
    expect(saved).toHaveBeenCalledTimes(2);
    await store.delete(ref);
    expect(saved).toHaveBeenCalledTimes(3);
  });

  it('leaves that to the application while it is in a transaction', async () => {
    const { store, dataSource } = opened;
    await dataSource.transaction(async () => {
      await createSession(store);
      expect(saved).not.toHaveBeenCalled();
    });
    expect(saved).toHaveBeenCalledTimes(1);
  });

  it('fails with a sentence of its own', async () => {
    saved.mockImplementation(() => {
      throw new Error('canary');
    });
    await expect(createSession(opened.store)).rejects.toMatchObject({ failure: 'refused', reason: 'autoSave' });
  });

  it('is there after a restart', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'session-sqljs-'));
    const typeorm = { type: 'sqljs', autoSave: true, location: join(folder, 'test.db') };
    const first = await openStore(typeorm);
    const ref = await createSession(first.store, { a: '"kept"' });
    await first.close();
    const second = await openStore(typeorm);
    expect(await dataOf(second.store, ref)).toEqual({ a: 'kept' });
    await second.close();
    await rm(folder, { recursive: true });
  });
});

describe('[sqlite] an application on sql.js', () => {
  let node: TestApp;
  beforeAll(async () => {
    node = await startApp({
      platform: 'express',
      controllers: [LabController],
      typeorm: { type: 'sqljs', synchronize: true },
      session: { entity: SqliteSessionEntity },
    });
  });
  afterAll(() => node.close());

  it('starts', () => {
    expect(node.url).toMatch(/^http/);
  });
});

/** The database underneath TypeORM. */
function sqlJsOf({ driver }: DataSource) {
  interface Database {
    exec(sql: string): void;
    create_function(name: string, body: () => string): void;
  }
  return (driver as unknown as { databaseConnection: Database }).databaseConnection;
}
