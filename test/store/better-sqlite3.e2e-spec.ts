import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SqliteSessionEntity, type SessionRef, type SessionStore, type TransactionEnd } from 'nestjs-typeorm-session';
import type { DataSource } from 'typeorm';
import { PLATFORMS, startApp } from '../support/app.js';
import { LabController, Nodes } from '../support/lab.js';
import {
  BETTER_SQLITE3,
  createSession,
  createSqliteFile,
  dataOf,
  describeOnBetterSqlite3,
  loadBetterSqlite3,
  openStore,
  type OpenStore,
  type SqliteFile,
} from '../support/sqlite-database.js';
import { describeStoreOn } from './support/describe-store.js';

const HOUR = 3_600_000;

for (const enableWAL of [true, false]) {
  describeOnBetterSqlite3(`[sqlite] with ${enableWAL ? 'a write-ahead log' : 'a rollback journal'}`, () => {
    describeStoreOn({
      name: 'a SQLite file',
      entity: SqliteSessionEntity,
      create: () => createSqliteFile({ enableWAL }),
    });

    describe('a store on a SQLite file', () => {
      let database: Awaited<ReturnType<typeof createSqliteFile>>;
      let opened: OpenStore;
      let dataSource: DataSource;
      let store: SessionStore;
      let other: SqliteFile;

      beforeEach(async () => {
        database = await createSqliteFile({ enableWAL });
        opened = await openStore(database.typeorm, { deadline: 500 });
        ({ dataSource, store } = opened);
        other = new (loadBetterSqlite3())(database.file, { timeout: 0 });
      });
      afterEach(async () => {
        await opened.close();
        other.close();
        await database.drop();
      });

      const increment = (ref: SessionRef) => store.apply(ref, { kind: 'increment', key: 'a', by: 1 });

      it('waits for another process that writes, and lets this one go on meanwhile', async () => {
        const ref = await createSession(store);
        other.exec('BEGIN IMMEDIATE');
        // Were this process held up, it would never come to the commit that it waits for.
        let ticks = 0;
        const ticking = setInterval(() => {
          if (++ticks === 20) other.exec('COMMIT');
        }, 5);
        const [incremented, found, touched] = await Promise.all([
          increment(ref),
          store.find([ref.tokenHash]),
          store.touch(ref, 0),
        ]);
        clearInterval(ticking);
        expect([incremented.status, found[0]!.status, touched!.status]).toEqual(['applied', 'live', 'applied']);
        expect(ticks).toBeGreaterThanOrEqual(20);
        expect(await dataOf(store, ref)).toEqual({ a: 2 });
      });

      it('gives up when its time is over, and has changed nothing', async () => {
        const ref = await createSession(store);
        other.exec('BEGIN IMMEDIATE');
        const begun = performance.now();
        await expect(increment(ref)).rejects.toMatchObject({ failure: 'conflict', reason: 'SQLITE_BUSY' });
        await expect(store.update(ref, { set: { a: '2' }, unset: [] }, 0)).rejects.toMatchObject({
          failure: 'conflict',
        });
        await expect(store.delete(ref)).rejects.toMatchObject({ failure: 'conflict' });
        expect(performance.now() - begun).toBeLessThan(2_500);
        other.exec('ROLLBACK');
        expect(await dataOf(store, ref)).toEqual({ a: 1 });
        expect(await increment(ref)).toMatchObject({ value: '2' });
      });

      it('waits where it may not even read', async () => {
        const ref = await createSession(store);
        other.exec('BEGIN EXCLUSIVE');
        const committed = delay(100).then(() => other.exec('COMMIT'));
        expect(await dataOf(store, ref)).toEqual({ a: 1 });
        await committed;
      });

      it('is to a transaction that has read what any other process is', async () => {
        const ref = await createSession(store);
        const transaction = dataSource.transaction(async (manager) => {
          await manager.find(SqliteSessionEntity);
          const incremented = await increment(ref).catch((error: unknown) => error);
          await manager.update(SqliteSessionEntity, ref.id, { userId: 'later' });
          return incremented;
        });
        if (enableWAL) {
          // SQLite lets nobody write who has read what is no longer so.
          await expect(transaction).rejects.toMatchObject({ driverError: { code: 'SQLITE_BUSY_SNAPSHOT' } });
          expect(await dataOf(store, ref)).toEqual({ a: 2 });
        } else {
          // Without a log, nobody writes while somebody reads.
          expect(await transaction).toMatchObject({ failure: 'conflict' });
        }
      });

      it('checks itself while others write, each in its turn', async () => {
        const checks = [store.check(), store.check()];
        const ref = await createSession(store);
        await Promise.all([...checks, store.check()]);
        expect(await dataOf(store, ref)).toEqual({ a: 1 });
        expect(other.prepare('SELECT * FROM sessions').all()).toHaveLength(1);
      });

      it('checks itself as soon as nobody else writes', async () => {
        other.exec('BEGIN IMMEDIATE');
        const committed = delay(100).then(() => other.exec('COMMIT'));
        await store.check();
        await committed;
      });

      it('is no part of the transaction that the application has open', async () => {
        const ref = await createSession(store);
        await dataSource
          .transaction(async (manager) => {
            // Nothing was written in it yet, so the file is free.
            expect(await increment(ref)).toMatchObject({ value: '2' });
            await manager.update(SqliteSessionEntity, ref.id, { userId: 'rolled back' });
            throw new Error('rolled back');
          })
          .catch(() => undefined);
        const [row] = await dataSource.query('SELECT user_id, data FROM sessions');
        expect(row).toEqual({ user_id: null, data: '{"a":2}' });
      });

      it('waits for the transaction that the application has written in, and does not block it', async () => {
        const ref = await createSession(store);
        const [, incremented] = await Promise.all([
          dataSource.transaction(async (manager) => {
            await manager.update(SqliteSessionEntity, ref.id, { userId: 'committed' });
            await delay(100);
            await manager.update(SqliteSessionEntity, ref.id, { userId: 'committed twice' });
          }),
          delay(20).then(() => increment(ref)),
        ]);
        expect(incremented).toMatchObject({ status: 'applied', value: '2' });
        const [row] = await dataSource.query('SELECT user_id, data FROM sessions');
        expect(row).toEqual({ user_id: 'committed twice', data: '{"a":2}' });
      });

      it('is part of the transaction that it joins', async () => {
        const ref = await createSession(store);
        let ended: Promise<TransactionEnd> | undefined;
        await dataSource
          .transaction(async (manager) => {
            const joined = store.join!(manager);
            ({ ended } = joined);
            await joined.store.update(ref, { set: { b: '2' }, unset: [] }, HOUR);
            await joined.store.apply(ref, { kind: 'increment', key: 'a', by: 1 });
            expect(await dataOf(joined.store, ref)).toEqual({ a: 2, b: 2 });
            expect(await dataOf(store, ref)).toEqual({ a: 1 });
            throw new Error('rolled back');
          })
          .catch(() => undefined);
        expect(await ended).toBe('rolledBack');
        expect(await dataOf(store, ref)).toEqual({ a: 1 });
        await dataSource.transaction((manager) =>
          store.join!(manager).store.update(ref, { set: { b: '2' }, unset: [] }, HOUR),
        );
        expect(await dataOf(store, ref)).toEqual({ a: 1, b: 2 });
      });

      it('loses no increment of two processes', async () => {
        const ref = await createSession(store, { n: '0' });
        const times = enableWAL ? 1_000 : 200;
        const worker = new URL('better-sqlite3-worker.ts', import.meta.url).pathname;
        const run = () =>
          spawn(
            process.execPath,
            [
              '--import',
              'tsx',
              worker,
              database.file,
              BETTER_SQLITE3!,
              ref.id,
              ref.tokenHash.toString('hex'),
              String(times),
            ],
            { stdio: ['ignore', 'ignore', 'inherit'] },
          );
        const codes = await Promise.all([run(), run()].map(async (child) => (await once(child, 'exit'))[0] as unknown));
        expect(codes).toEqual([0, 0]);
        expect(await dataOf(store, ref)).toEqual({ n: 2 * times });
      }, 60_000);

      it('keeps foreign keys: what refers to a session goes with it', async () => {
        await dataSource.query('CREATE TABLE carts (session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE)');
        const ref = await createSession(store);
        await dataSource.query('INSERT INTO carts VALUES (?)', [ref.id]);
        await store.delete(ref);
        expect(await dataSource.query('SELECT * FROM carts')).toEqual([]);
      });

      it('closes its own connection, after what is under way, and never opens it again', async () => {
        const ref = await createSession(store);
        const last = increment(ref);
        const closed = store.close!();
        expect(await last).toMatchObject({ value: '2' });
        await closed;
        await expect(store.find([ref.tokenHash])).rejects.toMatchObject({ failure: 'unavailable', reason: 'closed' });
        await dataSource.destroy();
        // Only the last connection to close may change the mode, or remove the log.
        expect(other.pragma('journal_mode = DELETE', { simple: true })).toBe('delete');
      });
    });
  });
}

describeOnBetterSqlite3('[sqlite] how a file is opened', () => {
  it('has the table that the entity describes', async () => {
    const { typeorm, drop } = await createSqliteFile();
    const { dataSource, store, close } = await openStore(typeorm);
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
    await store.check();
    await close();
    await drop();
  });

  it('is prepared as TypeORM prepares it, but never waits synchronously', async () => {
    const prepared: SqliteFile[] = [];
    const prepareDatabase = async (connection: SqliteFile) => {
      await delay(1);
      connection.pragma('busy_timeout = 4000');
      connection.pragma('cache_size = -123');
      connection.pragma('foreign_keys = OFF');
      prepared.push(connection);
    };
    const { typeorm, drop } = await createSqliteFile({ prepareDatabase });
    const { store, close } = await openStore(typeorm);
    await Promise.all([createSession(store), createSession(store)]);
    expect(prepared).toHaveLength(2);
    const settings = (name: string) => prepared.map((connection) => connection.pragma(name, { simple: true }));
    expect(settings('busy_timeout')).toEqual([4000, 0]);
    expect(settings('cache_size')).toEqual([-123, -123]);
    expect(settings('foreign_keys')).toEqual([1, 1]);
    await close();
    await drop();
  });

  it('fails, and is tried again with the next call', async () => {
    let opening = 0;
    const prepareDatabase = () => {
      if (++opening === 2) throw new Error('canary');
    };
    const { typeorm, drop } = await createSqliteFile({ prepareDatabase });
    const { store, close } = await openStore(typeorm);
    await expect(createSession(store)).rejects.toMatchObject({ failure: 'unavailable', reason: 'connection' });
    await createSession(store);
    await close();
    await drop();
  });

  it.each(['id', 'last_write', 'previous_token_hash'])('says that the column %s is missing', async (column) => {
    const { file, typeorm, drop } = await createSqliteFile();
    const { store, close } = await openStore(typeorm);
    const other = new (loadBetterSqlite3())(file);
    other.exec('DROP INDEX "IDX_08834ccd8bb22353cd412266a1"');
    other.exec(`ALTER TABLE sessions RENAME COLUMN ${column} TO another`);
    await expect(store.check()).rejects.toThrow('lacks a column of the session entity');
    other.exec('DROP TABLE sessions');
    await expect(store.check()).rejects.toThrow('The session table "sessions" does not exist');
    other.close();
    await close();
    await drop();
  });

  it('says that it cannot be written to, and goes on reading', async () => {
    const { typeorm, drop } = await createSqliteFile();
    const writing = await openStore(typeorm);
    const ref = await createSession(writing.store);
    const reading = await openStore({ ...typeorm, readonly: true }, { migrate: false });
    await expect(reading.store.check()).rejects.toThrow(/cannot be reached or written to|SQLITE_READONLY/);
    expect(await dataOf(reading.store, ref)).toEqual({ a: 1 });
    await expect(reading.store.touch(ref, 0)).rejects.toMatchObject({
      failure: 'unavailable',
      reason: 'SQLITE_READONLY',
    });
    await reading.close();
    await writing.close();
    await drop();
  });

  it('is away where the file is gone before it was opened', async () => {
    const { typeorm, drop } = await createSqliteFile();
    const { store, close } = await openStore(typeorm);
    await drop();
    await expect(createSession(store)).rejects.toMatchObject({ failure: 'unavailable' });
    await close();
  });

  it('is full: nothing is created, and what there is can be read and ended', async () => {
    const connections: SqliteFile[] = [];
    const prepareDatabase = (connection: SqliteFile) => void connections.push(connection);
    const { typeorm, drop } = await createSqliteFile({ prepareDatabase });
    const { store, close } = await openStore(typeorm);
    const ref = await createSession(store);
    const own = connections.at(-1)!;
    own.pragma(`max_page_count = ${String(own.pragma('page_count', { simple: true }))}`);
    const large = { a: JSON.stringify('x'.repeat(60_000)) };
    await expect(createSession(store, large)).rejects.toMatchObject({ failure: 'unavailable', reason: 'SQLITE_FULL' });
    await expect(store.update(ref, { set: large, unset: [] }, 0)).rejects.toMatchObject({ reason: 'SQLITE_FULL' });
    expect(await dataOf(store, ref)).toEqual({ a: 1 });
    expect(await store.delete(ref)).toEqual({ status: 'deleted' });
    await close();
    await drop();
  });
});

describeOnBetterSqlite3('[sqlite] a database in memory', () => {
  it.each([':memory:', ''])('uses the connection of TypeORM: %j', async (database) => {
    const typeorm = { type: 'better-sqlite3', driver: loadBetterSqlite3(), database };
    const { dataSource, store, warnings, close } = await openStore(typeorm);
    await store.check();
    const ref = await createSession(store);
    expect(await dataSource.query('SELECT id FROM sessions')).toEqual([{ id: ref.id }]);
    // And is part of what it has begun.
    await dataSource
      .transaction(async () => {
        await store.apply(ref, { kind: 'increment', key: 'a', by: 1 });
        await store.check();
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect(await dataOf(store, ref)).toEqual({ a: 1 });
    expect(warnings).toEqual([]);
    await store.close!();
    expect(await dataSource.query('SELECT id FROM sessions')).toHaveLength(1);
    await close();
  });

  it('warns of verbose, which is told values', async () => {
    const typeorm = { type: 'better-sqlite3', driver: loadBetterSqlite3(), database: ':memory:', verbose: () => {} };
    const { warnings, close } = await openStore(typeorm);
    expect(warnings).toEqual([expect.stringContaining('`verbose`')]);
    await close();
  });
});

describeOnBetterSqlite3('[sqlite] what is said about sessions', () => {
  it('names no value and no hash, in errors, in logs or to verbose', async () => {
    const said: unknown[] = [];
    const note = (...all: unknown[]) => void said.push(...all);
    const logger = Object.fromEntries(
      ['logQuery', 'logQueryError', 'logQuerySlow', 'logSchemaBuild', 'logMigration', 'log'].map((name) => [
        name,
        (...all: unknown[]) => note(...all.slice(0, -1)),
      ]),
    );
    const { file, typeorm, drop } = await createSqliteFile({ verbose: note, logging: 'all', logger });
    const { store, close } = await openStore(typeorm, { deadline: 100 });
    const failing = async (call: Promise<unknown>) => note(await call.catch((error: unknown) => error));
    const ref = await createSession(store, { canary: '"canary"' });
    await store.update(ref, { set: { canary: '"canary2"' }, unset: [] }, 0);
    await store.find([ref.tokenHash]);
    await failing(store.create({ ...ref, idleTimeout: 1, absoluteTimeout: 1, persistent: true, userId: 'canary', data: { canary: '"canary"' } })); // prettier-ignore
    const other = new (loadBetterSqlite3())(file);
    other.exec('BEGIN IMMEDIATE');
    await failing(store.update(ref, { set: { canary: '"canary3"' }, unset: [] }, 0));
    other.exec('ROLLBACK');
    other.exec("UPDATE sessions SET data = 'canary'");
    await failing(store.find([ref.tokenHash]));
    await failing(store.read(ref, 'canary'));
    other.exec('ALTER TABLE sessions RENAME COLUMN data TO canary');
    await failing(store.update(ref, { set: { canary: '"canary4"' }, unset: [] }, 0));
    other.exec('DROP TABLE sessions');
    await failing(store.check());
    other.close();
    await close();
    await drop();
    const text = said.map((one) => inspect(one, { depth: 9, showHidden: true }) + String(one)).join('\n');
    expect(text).toContain('CREATE TABLE');
    expect(text).toContain('conflict (SQLITE_BUSY)');
    expect(text).toContain('refused (no such column)');
    expect(text).not.toContain('canary');
    expect(text.toLowerCase()).not.toContain(ref.tokenHash.toString('hex'));
  });
});

describeOnBetterSqlite3('[sqlite] applications on one file', () => {
  it.each(PLATFORMS)('share their sessions on %s', async (platform) => {
    const { typeorm, drop } = await createSqliteFile({ synchronize: true });
    const nodes = new Nodes();
    const start = () =>
      startApp({ platform, controllers: [LabController], typeorm, session: { entity: SqliteSessionEntity } });
    nodes.nodes = [await start(), await start()];
    const client = await nodes.visitor({ visits: 1 });
    await nodes.value(nodes.at(client, 1), (session) => session.increment('visits'));
    expect(await nodes.value(client, (session) => session.get('visits'))).toBe(2);
    for (const node of nodes.nodes) await node.close();
    await drop();
  });
});
