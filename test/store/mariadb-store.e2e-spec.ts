import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Type } from '@nestjs/common';
import {
  CreateSessions1764000000000,
  MysqlSessionColumns,
  MysqlSessionEntity,
  type NewSession,
  type SessionColumns,
  type SessionRef,
  type SessionStore,
} from 'nestjs-typeorm-session';
import mysql from 'mysql2';
import { Column, DataSource, Entity, Generated, LessThan, type DataSourceOptions } from 'typeorm';
import { StatementError, type Connection, type Statement } from '../../libs/session/src/storage/connection.js';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import { AskedHashes } from '../../libs/session/src/storage/dialects/asked-hashes.js';
import { dialectFor } from '../../libs/session/src/storage/dialects/dialects.js';
import { Mysql2Pool } from '../../libs/session/src/storage/drivers/mysql2.js';
import { sessionTable } from '../../libs/session/src/storage/session-table.js';
import {
  createMysqlDatabase,
  describeOn,
  MYSQL_TYPES,
  type MysqlDatabase,
  type MysqlType,
} from '../support/mariadb-database.js';

const HOUR = 3_600_000;
const LIFETIME = { idleTimeout: HOUR, absoluteTimeout: 10 * HOUR, persistent: true };
const NO_DELTA = { set: {}, unset: [] };
const LIMITS = { deadline: 5_000, maxBytes: 65_536 };
/** A `touchAfter` that is never due. */
const NEVER = 100 * HOUR;

/** Letters that latin1 has, that it has not, and what modes of the server take for something else. */
const AWKWARD = { 'Größe 😀': 'ä€😀 \\ \\\' " ` ? :x', '-1': [null, 0.1], "it's": { '-a': null } };

function newSession(values: Record<string, unknown> = {}, more: Partial<NewSession> = {}): NewSession {
  const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, JSON.stringify(value)]));
  return { id: randomUUID(), tokenHash: randomBytes(32), userId: undefined, data, ...LIFETIME, ...more };
}

interface Opened {
  readonly dataSource: DataSource;
  readonly store: SessionStore;
  readonly warnings: string[];
  /** As the store gets its connections. */
  readonly connection: ReturnType<ReturnType<typeof dialectFor>['connect']>;
}

const opened: DataSource[] = [];

/** @param setUp what the application runs on its connections before they are used. */
async function open(
  { type, url }: Pick<MysqlDatabase, 'type' | 'url'>,
  options: object = {},
  setUp?: string,
  entity: Type<SessionColumns> = MysqlSessionEntity,
): Promise<Opened> {
  const source = { type, url, entities: [entity], ...options } as unknown as DataSourceOptions;
  const dataSource = await new DataSource(source).initialize();
  opened.push(dataSource);
  const { pool } = dataSource.driver as unknown as { pool: mysql.Pool };
  if (setUp) pool.on('acquire', (client) => void client.query(setUp));
  const warnings: string[] = [];
  const warn = (sentence: string) => void warnings.push(sentence);
  const store = createStore(dataSource, entity, LIMITS, warn);
  return { dataSource, store, warnings, connection: dialectFor(type).connect(dataSource, () => {}) };
}

async function migrated(type: MysqlType, attributes?: string): Promise<MysqlDatabase> {
  const database = await createMysqlDatabase(type, attributes);
  const { dataSource } = await open(database, { migrations: [CreateSessions1764000000000], migrationsRun: true });
  await dataSource.destroy();
  return database;
}

/** The failure of a statement, as the store gets to see it. */
async function failureOf(work: Promise<unknown>): Promise<[failure: string, reason: string]> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof StatementError)) throw new Error(`expected a StatementError, and it was ${inspect(error)}`);
  return [error.failure, error.reason];
}

const plain = (sql: string): Statement => ({ sql, parameters: [] });

/** Runs SQL as one operation of the store's runner. */
function runs({ connection: { runner } }: Opened, sql: string, milliseconds = 10_000) {
  return runner.run((connection) => connection.run(plain(sql)), milliseconds);
}

for (const type of MYSQL_TYPES) {
  describeOn(type)(`[${type}] the dialect`, () => {
    let database: MysqlDatabase;
    let main: Opened;

    beforeAll(async () => {
      database = await migrated(type);
      main = await open(database);
      await main.store.check();
    });
    beforeEach(() => database.query('DELETE FROM sessions'));
    afterAll(async () => {
      for (const dataSource of opened) if (dataSource.isInitialized) await dataSource.destroy();
      await database?.drop();
    });

    const create = async (store: SessionStore, values: Record<string, unknown> = { a: 1 }, more = {}) => {
      const session = newSession(values, more);
      const { expiresAt } = await store.create(session);
      return { ...session, expiresAt };
    };
    const valuesOf = async (store: SessionStore, ref: Pick<SessionRef, 'tokenHash'>) => {
      const [found] = await store.find([ref.tokenHash]);
      return found?.status === 'live' ? (JSON.parse(found.session.data) as unknown) : found?.status;
    };

    it('answers in columns whose names hold no value, as mysql2 keeps a parser for each name', async () => {
      const { dataSource, store } = await open(database);
      const names = new Set<string>();
      const watched = new WeakSet();
      (dataSource.driver as unknown as { pool: mysql.Pool }).pool.on('acquire', (client) => {
        if (watched.has(client)) return;
        watched.add(client);
        const query = client.query.bind(client) as (...args: unknown[]) => unknown;
        const answered =
          (callback: (...args: unknown[]) => void) => (error: unknown, rows: unknown, fields: unknown) => {
            if (Array.isArray(fields)) names.add(fields.map(({ name }: { name: string }) => name).join());
            callback(error, rows, fields);
          };
        client.query = ((options: unknown, callback: (...args: unknown[]) => void) =>
          query(options, answered(callback))) as typeof client.query;
      });
      const useAll = async () => {
        const session = await create(store);
        await store.find([session.tokenHash]);
        await store.read(session, 'a');
        await store.apply(session, { kind: 'increment', key: 'a', by: 1 });
        await store.delete(session);
        await store.update(session, { set: { a: '2' }, unset: [] }, 60_000);
      };
      await useAll();
      const known = [...names];
      expect(known.length).toBeGreaterThan(2);
      for (let times = 0; times < 3; times++) await useAll();
      expect([...names]).toEqual(known);
    });
    const rowOf = async (id: string) => (await database.query('SELECT * FROM sessions WHERE id = ?', [id]))[0]!;
    const secretsOf = ({ tokenHash }: SessionRef) => [
      tokenHash.toString('hex'),
      tokenHash.toString('base64'),
      inspect(tokenHash),
    ];

    /** Connections with locks. They are let go of after the test, also where it fails. */
    const holders: Awaited<ReturnType<MysqlDatabase['connect']>>[] = [];
    const lockRows = async (condition = 'TRUE') => {
      const client = await database.connect();
      holders.push(client);
      await client.query('BEGIN');
      await client.query(`SELECT id FROM sessions WHERE ${condition} FOR UPDATE`);
      return client;
    };
    afterEach(() => {
      for (const client of holders.splice(0)) client.destroy();
    });

    /** The ids of connections that run a statement of this kind, once there is one. One that was killed is listed until it is gone. */
    const running = async (verb: string) => {
      for (const end = performance.now() + 5_000; performance.now() < end; await delay(5)) {
        const rows = await database.query<{ ID: number }>(
          "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = ? AND INFO LIKE ? AND COMMAND <> 'Killed'",
          [database.name, `${verb}%`],
        );
        if (rows.length > 0) return rows.map((row) => row.ID);
      }
      throw new Error(`no ${verb} is running`);
    };

    describe('a statement that fails', () => {
      it('was rolled back by a deadlock', async () => {
        const [one, other] = [await create(main.store), await create(main.store)];
        const lock = (id: string) => plain(`SELECT id FROM sessions WHERE id = '${id}' FOR UPDATE`);
        let arrived = 0;
        let open: () => void;
        const both = new Promise<void>((resolve) => (open = resolve));
        const locks = (first: string, second: string) =>
          main.connection.runner.run(
            (connection) =>
              connection.transaction(async () => {
                await connection.run(lock(first));
                if (++arrived === 2) open();
                await both;
                await connection.run(lock(second));
              }),
            10_000,
          );
        const outcomes = await Promise.allSettled([locks(one.id, other.id), locks(other.id, one.id)]);
        const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
        expect(failed.map(({ reason }) => String(reason))).toEqual(['StatementError: rolledBack (1213)']);
      });

      it('was rolled back when it waited too long for a lock', async () => {
        const { id } = await create(main.store);
        const impatient = await open(database, {}, 'SET SESSION innodb_lock_wait_timeout = 1');
        const lock = await lockRows();
        const failure = failureOf(runs(impatient, `UPDATE sessions SET version = 7 WHERE id = '${id}'`));
        expect(await failure).toEqual(['rolledBack', '1205']);
        await lock.query('COMMIT');
      });

      it('may have happened when its connection was killed, and is done on another one in a transaction', async () => {
        const { id } = await create(main.store);
        const sql = `UPDATE sessions SET version = 7 WHERE id = '${id}'`;
        const lock = await lockRows();
        const failure = failureOf(runs(main, sql));
        for (const process of await running('UPDATE')) await database.query(`KILL ${process}`);
        expect((await failure)[0]).toBe('lost');
        const work = main.connection.runner.run(
          (connection) => connection.transaction(() => connection.run(plain(sql))),
          10_000,
        );
        for (const process of await running('UPDATE')) await database.query(`KILL ${process}`);
        await lock.query('COMMIT');
        expect(await work).toMatchObject({ affected: 1 });
        expect((await rowOf(id)).version).toBe(7);
      });

      it('has not happened when it alone was killed, or took too long', async () => {
        const { id } = await create(main.store);
        const lock = await lockRows();
        const failure = failureOf(runs(main, `UPDATE sessions SET version = 7 WHERE id = '${id}'`));
        for (const process of await running('UPDATE')) await database.query(`KILL QUERY ${process}`);
        expect(await failure).toEqual(['away', '1317']);
        await lock.query('COMMIT');
        if (type === 'mysql') return;
        const slow = 'SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(5) FROM sessions';
        expect((await failureOf(runs(main, slow)))[0]).toBe('away');
      });

      it('[retry] is done on another connection where this one can only read, which is given up', async () => {
        const { id } = await create(main.store);
        const readOnly = await open(database, { extra: { connectionLimit: 3 } });
        await Promise.all(
          Array.from({ length: 3 }, () =>
            readOnly.connection.runner.run(async (connection) => {
              await connection.run(plain('SET SESSION TRANSACTION READ ONLY'));
              await connection.run(plain('SELECT SLEEP(0.2)'));
            }, 10_000),
          ),
        );
        // Three connections that had served before, and then a new one.
        expect(await runs(readOnly, `UPDATE sessions SET version = 7 WHERE id = '${id}'`)).toMatchObject({
          affected: 1,
        });
      });

      it.each([
        ['rolledBack', 1020, 'HY000', 'kept'],
        ['rolledBack', 1412, 'HY000', 'kept'],
        ['rolledBack', 3101, '40000', 'kept'],
        ['away', 1040, '08004', 'given up'],
        ['away', 1203, '42000', 'kept'],
        ['away', 1047, '08S01', 'given up'],
        ['away', 1290, 'HY000', 'given up'],
        ['away', 1836, 'HY000', 'given up'],
        ['away', 1114, 'HY000', 'kept'],
        ['lost', 1180, 'HY000', 'kept'],
        ['lost', 1053, '08S01', 'given up'],
        ['refused', 1153, '08S01', 'given up'],
        ['refused', 1062, '23000', 'kept'],
        ['refused', 4025, '23000', 'kept'],
      ])('is %s by its number %i', async (failure, errno, sqlState, fate) => {
        const one = await open(database, { extra: { connectionLimit: 1 } });
        const id = async () => (await runs(one, 'SELECT CONNECTION_ID()')).rows[0]![0];
        const before = await id();
        const signal = `SIGNAL SQLSTATE '${sqlState}' SET MYSQL_ERRNO = ${errno}, MESSAGE_TEXT = 'x'`;
        expect(await failureOf(runs(one, signal))).toEqual([failure, String(errno)]);
        expect((await id()) === before ? 'kept' : 'given up').toBe(fate);
      });

      it('was not sent where nobody listens, or where the connection had failed before', async () => {
        const pool = mysql.createPool({ host: '127.0.0.1', port: 1 });
        const nobody = new Mysql2Pool({ driver: { pool } } as never);
        const refused: unknown = await nobody.connect().catch((error: unknown) => error);
        expect(nobody.describe(refused)).toEqual({
          failure: 'unsent',
          reason: 'ECONNREFUSED',
          isConnectionUseless: true,
        });
        pool.end();

        const driver = new Mysql2Pool(main.dataSource);
        const client = await driver.connect();
        driver.release(client, true);
        const late: unknown = await driver.query(client, plain('SELECT 1')).catch((error: unknown) => error);
        expect(driver.describe(late)).toMatchObject({ failure: 'unsent', isConnectionUseless: true });
      });

      it('holds no parameter, and nothing of it is logged', async () => {
        const logged: unknown[] = [];
        const log = (...entry: unknown[]) => void logged.push(entry);
        const logger = {
          logQuery: log,
          logQueryError: log,
          logQuerySlow: log,
          logSchemaBuild: log,
          logMigration: log,
          log,
        };
        const { store } = await open(database, { logging: 'all', logger });
        logged.splice(0);
        const session = await create(store, { card: 'canary-4111' }, { userId: 'canary-ann' });
        const refused: unknown = await store.create(session).catch((error: unknown) => error);
        expect(refused).toMatchObject({ name: 'SessionStoreError', failure: 'refused', reason: '1062' });
        await store.update(session, { set: { card: '"canary-4112"' }, unset: [] }, 0);
        await store.apply(session, { kind: 'take', key: 'card' });
        const unwritable = store.update(session, { set: { a: '{"canary-4113"' }, unset: [] }, 0);
        const broken: unknown = await unwritable.catch((error: unknown) => error);
        const seen = [refused, broken, logged].map((it) => inspect(it, { depth: 10, showHidden: true })).join();
        for (const secret of ['canary', session.id, ...secretsOf(session)]) expect(seen).not.toContain(secret);
        expect(logged).toEqual([]);
      });
    });

    describe('settings of the application', () => {
      /** Everything that a text, a number or a moment passes through. */
      const exercise = async (store: SessionStore) => {
        await store.check();
        const created = await create(store, AWKWARD, { userId: 'Ünï 😀' });
        expect((await rowOf(created.id)).expires_at).toBe(created.expiresAt);
        expect(Math.abs(created.expiresAt - Date.now() - HOUR)).toBeLessThan(60_000);

        const login = { ...LIFETIME, userId: 'Łukasz 😀', keep: ['-1', 'Größe 😀', 'absent'] };
        const { tokenHash } = newSession();
        const delta = { set: { 'neu😀': '"\\\\\'ж"' }, unset: ["it's"] };
        const replaced = await store.replace(created, { tokenHash, isUnsent: false, login }, delta, 0);
        expect(replaced).toEqual({ status: 'applied', expiresAt: (await rowOf(created.id)).expires_at });
        const ref = { id: created.id, tokenHash };

        const [found] = await store.find([tokenHash]);
        const { "it's": _, ...kept } = AWKWARD;
        if (found?.status !== 'live') throw new Error(`it is ${found?.status}`);
        expect(JSON.parse(found.session.data)).toEqual({ ...kept, 'neu😀': "\\'ж" });
        expect(found.session.userId).toBe('Łukasz 😀');

        expect(await store.update(ref, NO_DELTA, NEVER)).toEqual(replaced);
        expect(await store.touch(ref, NEVER)).toBeUndefined();
        expect(await store.apply(ref, { kind: 'append', key: '-1', items: '["ж"]' })).toMatchObject({
          status: 'applied',
        });
        expect(await store.apply(ref, { kind: 'take', key: '-1' })).toEqual({
          status: 'applied',
          value: expect.stringMatching(/^\[null, ?0.1, ?"ж"\]$/),
        });
        expect((await store.read(ref, 'neu😀')).status).toBe('read');
        expect(await store.delete(ref)).toEqual({ status: 'deleted' });
      };

      it.each([
        ['an old character set', { charset: 'latin1' }],
        ['another old character set', { charset: 'GBK_CHINESE_CI' }],
        ['a time zone of the driver', { timezone: '+05:30', dateStrings: true }],
        ['big numbers as text', { supportBigNumbers: true, bigNumberStrings: true }],
        ['big numbers as numbers', { supportBigNumbers: false, bigNumberStrings: false }],
        ['changed rows counted', { flags: ['-FOUND_ROWS'] }],
        [
          'options of mysql2',
          { extra: { namedPlaceholders: true, rowsAsArray: false, typeCast: () => 'cast', jsonStrings: true } },
        ],
      ])('play no part: %s', async (_, options) => {
        await exercise((await open(database, options)).store);
      });

      it.each([
        `SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_ALL_TABLES'`,
        `SET SESSION sql_mode = ''`,
        `SET SESSION sql_mode = 'ANSI'`,
        `SET SESSION time_zone = '+09:00'`,
        `SET SESSION time_zone = '-12:00'`,
        `SET NAMES ascii`,
        `SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE`,
        `SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED`,
        `SET SESSION sql_safe_updates = 1`,
      ])('play no part: %s', async (setUp) => {
        await exercise((await open(database, {}, setUp)).store);
      });

      it.each(['CHARACTER SET latin1', 'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', 'CHARACTER SET ascii'])(
        'play no part: a database with %s',
        async (attributes) => {
          const other = await migrated(type, attributes);
          try {
            const { store, dataSource } = await open(other);
            await store.check();
            const session = await create(store, AWKWARD, { userId: 'Ünï 😀' });
            expect(await valuesOf(store, session)).toEqual(AWKWARD);
            const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
            expect(upQueries).toEqual([]);
          } finally {
            await other.drop();
          }
        },
      );

      it('play no part: reads that go to a replica which lags behind', async () => {
        const empty = await migrated(type);
        try {
          const replication = { master: { url: database.url }, slaves: [{ url: empty.url }] };
          const { store, warnings } = await open(database, { replication, url: undefined });
          await exercise(store);
          expect(await empty.query('SELECT * FROM sessions')).toEqual([]);
          expect(warnings).toEqual([expect.stringContaining('restoreNodeTimeout')]);
        } finally {
          await empty.drop();
        }
      });

      it('are warned of where connecting has no limit, and only there', async () => {
        expect(main.warnings).toEqual([]);
        expect((await open(database, { connectTimeout: 0 })).warnings).toEqual([
          expect.stringContaining('connectTimeout'),
        ]);
      });
    });

    describe('a set-up that cannot work', () => {
      const refused = (sentence: RegExp) =>
        expect.objectContaining({ name: 'SessionConfigError', message: expect.stringMatching(sentence) });
      const problem = async (work: Promise<unknown>) =>
        work.then(
          () => 'none',
          (error: unknown) => error,
        );

      it.each([
        [`SET SESSION autocommit = 0`, /autocommit/],
        [`SET SESSION completion_type = CHAIN`, /completion_type/],
      ])('is refused: %s', async (setUp, sentence) => {
        expect(await problem((await open(database, {}, setUp)).store.check())).toEqual(refused(sentence));
      });

      it.each([
        ['no table', 'RENAME TABLE sessions TO elsewhere', /"sessions" does not exist/],
        ['no column', 'ALTER TABLE sessions DROP COLUMN last_write', /lacks a column/],
        ['an engine without transactions', 'ALTER TABLE sessions ENGINE = MyISAM', /engine MyISAM/],
        ['hashes as text', 'ALTER TABLE sessions MODIFY token_hash varchar(64)', /^SessionConfigError/],
        ['users in latin1', 'ALTER TABLE sessions MODIFY user_id varchar(255) CHARACTER SET latin1', /user id|1366/],
      ])('is refused: %s', async (_, change, sentence) => {
        const other = await migrated(type);
        try {
          await other.query(change);
          const error = await problem((await open(other)).store.check());
          expect(String(error)).toMatch(sentence);
        } finally {
          await other.drop();
        }
      });

      it('is refused: a user without the privileges', async () => {
        const user = `poor_${randomUUID().slice(0, 8)}`;
        await database.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'p'`);
        try {
          await database.query(`GRANT SELECT ON sessions TO '${user}'@'%'`);
          const url = new URL(database.url);
          url.username = user;
          url.password = 'p';
          const { store } = await open({ type, url: url.href });
          expect(await problem(store.check())).toEqual(refused(/SELECT, INSERT, UPDATE and DELETE/));
        } finally {
          await database.query(`DROP USER '${user}'@'%'`);
        }
      });

      it("is refused: the other server's type", async () => {
        const other = type === 'mariadb' ? 'mysql' : 'mariadb';
        const { store } = await open({ ...database, type: other });
        expect(await problem(store.check())).toEqual(refused(new RegExp(`Set type: "${type}"`)));
      });

      it.each([
        ['mariadb', { version: '10.5.29-MariaDB' }, /10\.6 or newer/],
        ['mariadb', { version: '8.4.3' }, /Set type: "mysql"/],
        ['mysql', { version: '8.0.11-TiDB-v8.5.0' }, /8\.0\.16 or newer/],
        ['mysql', { version: '5.7.44-log' }, /8\.0\.16 or newer/],
        ['mysql', { version: '8.4.3', log_bin: 'ON', binlog_format: 'STATEMENT' }, /MIXED or ROW/],
        ['mariadb', { version: '11.8.2-MariaDB', clock: '0' }, /sysdate-is-now/],
        ['mysql', { version: '9.4.0', log_bin: 'ON', binlog_format: 'ROW' }, undefined],
        ['mariadb', { version: '10.6.0-MariaDB', log_bin: 'OFF', binlog_format: 'STATEMENT' }, undefined],
      ] as [MysqlType, Record<string, string>, RegExp | undefined][])(
        'is judged by what the server says: %s %j',
        async (kind, { clock = '1', ...variables }, sentence) => {
          const answer = (sql: string) => {
            if (sql.startsWith('SHOW VARIABLES')) return Object.entries(variables);
            return [['0', clock]];
          };
          const run = ({ sql }: Statement) => Promise.resolve({ rows: answer(sql), affected: 0, insertId: 0 });
          const server = { run } as unknown as Connection;
          const table = sessionTable(main.dataSource, MysqlSessionEntity, dialectFor(kind).columnsName);
          const found = await problem(dialectFor(kind).checkServer!(server, table));
          expect(found).toEqual(sentence ? refused(sentence) : 'none');
        },
      );

      it('is refused: the package mysql', async () => {
        const legacy = { driver: { pool: { getConnection() {}, query() {} } } };
        expect(() => new Mysql2Pool(legacy as never)).toThrow(/sessions need mysql2/);
      });

      it('is refused: a column of its own that takes the place of what the INSERT answers', async () => {
        @Entity('numbered_sessions')
        class Numbered extends MysqlSessionColumns {
          @Column('int', { name: 'number', unique: true })
          @Generated('increment')
          number!: number;
        }
        const { store } = await open(database, { synchronize: true }, undefined, Numbered);
        expect(await problem(store.check())).toEqual(refused(/the first expiry came back differently/));
      });
    });

    describe('a row that somebody else has written', () => {
      const garbage = {
        null: `data = 'null'`,
        list: `data = '[]'`,
        text: `data = '"x"'`,
        cut: `data = '{"a":1'`,
        trailing: `data = '{"a":1} {'`,
        empty: `data = ''`,
        nothing: `data = NULL`,
        'no version': `version = NULL`,
        'no idle timeout': `idle_timeout = NULL`,
      };

      it('is unreadable, never an error, and fails nobody else', async () => {
        if (type === 'mysql') return;
        const other = await migrated(type);
        try {
          await other.query(
            'ALTER TABLE sessions MODIFY data longtext NULL, MODIFY version int NULL, MODIFY idle_timeout bigint NULL',
          );
          const { store } = await open(other);
          await store.check();
          const good = await create(store);
          const hashes = [good.tokenHash];
          for (const assignment of Object.values(garbage)) {
            const bad = await create(store);
            hashes.push(bad.tokenHash);
            await other.query(`UPDATE sessions SET ${assignment} WHERE id = ?`, [bad.id]);
            expect(await store.find([bad.tokenHash])).toEqual([{ status: 'unreadable', id: bad.id }]);
            // Not applied, whatever else: nothing is acknowledged that was not kept.
            if (assignment.startsWith('data')) {
              const outcome = await store
                .update(bad, { set: { b: '1' }, unset: [] }, 0)
                .catch((error: unknown) => error);
              expect(outcome).toMatchObject({ failure: 'conflict' });
              expect(await store.apply(bad, { kind: 'increment', key: 'n', by: 1 })).toMatchObject({ status: 'unfit' });
            }
            expect(await store.touch(bad, NEVER)).toBeUndefined();
          }
          const statuses = (await store.find(hashes)).map(({ status }) => status).sort();
          expect(statuses).toEqual(['live', ...Object.keys(garbage).map(() => 'unreadable')]);
          const absurd = await create(store);
          await other.query(
            `UPDATE sessions SET absolute_expires_at = -9223372036854775808, touched_at = -9223372036854775808 WHERE id = ?`,
            [absurd.id],
          );
          expect(await store.find([good.tokenHash, absurd.tokenHash])).toHaveLength(2);
          for (const { id, tokenHash } of [good, absurd]) {
            expect(await store.delete({ id, tokenHash })).toEqual({ status: 'deleted' });
          }
        } finally {
          await other.drop();
        }
      });
    });

    describe('a session that ends while its write waits for another one', () => {
      const writes: [string, (store: SessionStore, ref: SessionRef) => Promise<{ status: string } | undefined>][] = [
        ['update', (store, ref) => store.update(ref, { set: { late: '1' }, unset: [] }, 0)],
        ['touch', (store, ref) => store.touch(ref, 0)],
        ['replace', (store, ref) => store.replace(ref, { ...newSession(), isUnsent: false }, NO_DELTA, 0)],
        [
          'login',
          (store, ref) =>
            store.replace(
              ref,
              { ...newSession(), isUnsent: false, login: { ...LIFETIME, userId: 'x', keep: [] } },
              NO_DELTA,
              0,
            ),
        ],
        ['take', (store, ref) => store.apply(ref, { kind: 'take', key: 'a' })],
        ['increment', (store, ref) => store.apply(ref, { kind: 'increment', key: 'a', by: 1 })],
      ];

      it.each(writes)('is gone: %s', async (_, write) => {
        const created = await create(main.store);
        const before = await rowOf(created.id);
        const lock = await lockRows();
        const pending = write(main.store, created);
        await running(`${_ === 'take' || _ === 'increment' ? 'SELECT' : 'UPDATE'} %sessions`);
        await lock.query('UPDATE sessions SET expires_at = FLOOR(UNIX_TIMESTAMP(SYSDATE(6)) * 1000) + 20');
        await delay(25);
        await lock.query('COMMIT');
        expect((await pending)?.status ?? 'not moved').toBe(_ === 'touch' ? 'not moved' : 'gone');
        expect(await rowOf(created.id)).toEqual({ ...before, expires_at: expect.any(Number) });
      });

      it('and lives on where the other one has prolonged it', async () => {
        const created = await create(main.store, { a: 1 }, { idleTimeout: 400 });
        const lock = await lockRows();
        const pending = main.store.update(created, { set: { b: '2' }, unset: [] }, NEVER);
        await running('UPDATE');
        await lock.query(`UPDATE sessions SET expires_at = expires_at + ${HOUR}`);
        await delay(Math.max(0, created.expiresAt - Date.now() + 20));
        await lock.query('COMMIT');
        expect(await pending).toEqual({ status: 'applied', expiresAt: created.expiresAt + HOUR });
      });
    });

    describe('the clean-up', () => {
      const expire = (id: string) => database.query('UPDATE sessions SET expires_at = 1000 WHERE id = ?', [id]);

      it.each([
        ['a few', 3],
        ['a full batch', 1_100],
      ])('neither waits for what somebody else has locked, nor counts it: %s', async (_, count) => {
        const sessions = await Promise.all(Array.from({ length: count }, () => create(main.store)));
        await database.query('UPDATE sessions SET expires_at = 1000');
        const { id, tokenHash } = sessions[1]!;
        const holder = await lockRows(`id = '${id}'`);
        expect((await main.store.deleteExpired(1_000)) + (await main.store.deleteExpired(1_000))).toBe(count - 1);
        await holder.query(`UPDATE sessions SET expires_at = ${Date.now() + HOUR}`);
        await holder.query('COMMIT');
        expect(await main.store.deleteExpired(1_000)).toBe(0);
        expect(await valuesOf(main.store, { tokenHash })).toEqual({ a: 1 });
      });

      it('holds up nobody who creates sessions', async () => {
        const { id } = await create(main.store);
        await expire(id);
        const operations = dialectFor(type).operations(
          sessionTable(main.dataSource, MysqlSessionEntity, dialectFor(type).columnsName),
        );
        const created = await main.connection.runner.run(async (connection) => {
          let expiresAt: unknown;
          const deleting = operations.deleteExpired(10)({
            run: (statement) => connection.run(statement),
            transaction: (work) =>
              connection.transaction(async () => {
                const result = await work();
                // Before it commits, and right where it has deleted.
                ({ expiresAt } = await create(main.store, {}, { idleTimeout: 1 }));
                return result;
              }),
          });
          return [await deleting, typeof expiresAt];
        }, 5_000);
        expect(created).toEqual([1, 'number']);
      });

      /** A connection on which somebody changes the row after it was locked, as another node of a cluster can. */
      const changedAfterLock = (connection: Connection, change: string): Connection => ({
        async run(statement) {
          const result = await connection.run(statement);
          if (statement.sql.includes('FOR UPDATE')) await connection.run(plain(change));
          return result;
        },
        transaction: (work) => connection.transaction(work),
      });

      it('leaves a session that was prolonged on another node, where locks do not reach', async () => {
        const { id } = await create(main.store);
        await expire(id);
        const dialect = dialectFor(type);
        const operations = dialect.operations(sessionTable(main.dataSource, MysqlSessionEntity, dialect.columnsName));
        const change = `UPDATE sessions SET expires_at = ${Date.now() + HOUR}`;
        const deleted = await main.connection.runner.run(
          (connection) => operations.deleteExpired(10)(changedAfterLock(connection, change)),
          5_000,
        );
        expect(deleted).toBe(0);
        expect((await rowOf(id)).id).toBe(id);
      });

      it('as an atomic operation leaves what was changed there', async () => {
        const session = await create(main.store, { n: 1 });
        const dialect = dialectFor(type);
        const operations = dialect.operations(sessionTable(main.dataSource, MysqlSessionEntity, dialect.columnsName));
        const change = `UPDATE sessions SET data = '{"n":5}', version = version + 1`;
        const increment = operations.apply(session, { kind: 'increment', key: 'n', by: 1 }, 1_000, randomUUID());
        const outcome = await main.connection.runner.run(
          (connection) => increment(changedAfterLock(connection, change)),
          5_000,
        );
        expect(outcome).toBeUndefined();
        expect(await valuesOf(main.store, session)).toEqual({ n: 5 });
      });
    });

    describe('the statements', () => {
      const dialect = dialectFor(type);
      const ref = newSession();

      /** What an operation sends first. */
      const statementOf = async (
        make: (operations: ReturnType<typeof dialect.operations>) => (connection: Connection) => Promise<unknown>,
      ) => {
        const sent: Statement[] = [];
        const run = (statement: Statement) => {
          sent.push(statement);
          return Promise.resolve({ rows: [], affected: 0, insertId: 0 });
        };
        const connection = { run, transaction: (work: () => Promise<unknown>) => work() } as Connection;
        await make(dialect.operations(sessionTable(main.dataSource, MysqlSessionEntity, dialect.columnsName)))(
          connection,
        );
        return sent[0]!;
      };

      it('come to a row by one index, or two writers of it would deadlock', async () => {
        await Promise.all(Array.from({ length: 30 }, () => create(main.store)));
        const mark = randomUUID();
        const writes = [
          await statementOf((its) => its.update(ref, NO_DELTA, 0, mark)),
          await statementOf((its) => its.touch(ref, 0)),
          await statementOf((its) => its.replace(ref, { ...ref, isUnsent: false }, NO_DELTA, 0, mark)),
          await statementOf((its) => its.apply(ref, { kind: 'take', key: 'a' }, 1_000, mark)),
          await statementOf((its) => its.delete(ref)),
        ];
        for (const { sql, parameters } of writes) {
          const [plan] = await database.query<{ key: string | null; Extra: string }>(`EXPLAIN ${sql}`, [...parameters]);
          // A constant row that does not exist has no key, and was looked for by the primary key.
          expect(plan!.key ?? plan!.Extra).toMatch(/PRIMARY|Impossible WHERE|no matching row/);
        }
      });

      it('look up tokens by their index', async () => {
        await Promise.all(Array.from({ length: 30 }, () => create(main.store)));
        const { sql, parameters } = await statementOf((its) =>
          its.find(new AskedHashes([ref.tokenHash, newSession().tokenHash])),
        );
        const plans = await database.query<{ key: string | null; table: string }>(`EXPLAIN ${sql}`, [...parameters]);
        expect(plans.filter(({ table }) => table === 'sessions').map(({ key }) => key)).toEqual([
          'IDX_abaa9e068cdd390bc5210f7988',
          'IDX_08834ccd8bb22353cd412266a1',
        ]);
      });

      it('carry text as bytes', async () => {
        const { sql, parameters } = await statementOf((its) =>
          its.create(newSession(AWKWARD, { userId: 'ann' }), randomUUID()),
        );
        expect(parameters.every((value) => typeof value === 'number' || Buffer.isBuffer(value))).toBe(true);
        expect(mysql.format(sql, [...parameters] as (Buffer | number)[])).toContain(
          `_utf8mb4 X'${Buffer.from('ann').toString('hex')}'`,
        );
      });
    });

    describe('the entity', () => {
      it('reads what the store has written, and finds by dates', async () => {
        const { id, expiresAt, tokenHash } = await create(main.store, AWKWARD, { userId: 'ann' });
        const sessions = main.dataSource.getRepository(MysqlSessionEntity);
        const session = await sessions.findOneByOrFail({ id, userId: 'ann', persistent: true });
        expect(session).toMatchObject({
          tokenHash,
          data: AWKWARD,
          version: 1,
          idleTimeout: HOUR,
          persistent: true,
          expiresAt: new Date(expiresAt),
          previousTokenHash: null,
          previousTokenUntil: null,
        });
        expect(await sessions.countBy({ expiresAt: LessThan(new Date(expiresAt)) })).toBe(0);
        expect(await sessions.countBy({ expiresAt: LessThan(new Date(expiresAt + 1)) })).toBe(1);
      });

      it('may have columns, names and a prefix of its own', async () => {
        @Entity({ name: 'login' })
        class Own extends MysqlSessionColumns {
          @Column('varchar', { length: 20, nullable: true })
          device!: string | null;
        }
        const { store } = await open(database, { synchronize: true, entityPrefix: 'my-' }, undefined, Own);
        await store.check();
        const session = await create(store, AWKWARD);
        expect(await valuesOf(store, session)).toEqual(AWKWARD);
        expect(await store.deleteExpired(10)).toBe(0);
      });
    });

    it('counts the bytes of data as a session does, without spaces', async () => {
      // MySQL keeps JSON in a form of its own, and spells it with spaces.
      if (type === 'mysql') return;
      const { maxBytes } = LIMITS;
      const list = (bytes: number) => Array.from({ length: bytes / 2 }, () => 1);
      const increment = { kind: 'increment', key: 'n', by: 1 } as const;
      const full = await create(main.store, { list: list(maxBytes - 100), n: 1 });
      expect(await main.store.apply(full, increment)).toMatchObject({ status: 'applied' });
      const overfull = await create(main.store, { list: list(maxBytes + 100), n: -1 });
      expect(await main.store.apply(overfull, increment)).toMatchObject({ status: 'applied', value: '0' });
    });

    describe('snapshots', () => {
      it('are not what an atomic operation reads, with the isolation of snapshots either', async () => {
        if (type === 'mysql') return;
        const { store } = await open(database, {}, 'SET SESSION innodb_snapshot_isolation = ON');
        const session = await create(store, { n: 0 });
        await Promise.all(
          Array.from({ length: 20 }, () => store.apply(session, { kind: 'increment', key: 'n', by: 1 })),
        );
        expect(await valuesOf(store, session)).toEqual({ n: 20 });
      });
    });
  });
}
