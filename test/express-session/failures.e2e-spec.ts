import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ExpressSessionStore,
  SessionEntity,
  type ExpressSessionError,
  type SessionEvent,
} from 'nestjs-typeorm-session/express-session';
import { DataSource } from 'typeorm';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';
import { answered, openExpressStore, startSite, type Handler, type Site } from './site.js';

/** Milliseconds. */
const DEADLINE = 400;

describe('The store for express-session, when something fails, on express', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let dataSource: DataSource;
  let store: ExpressSessionStore;
  /** With Express's own error handler. */
  let site: Site;
  const events: SessionEvent[] = [];

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    const typeorm = { type: 'postgres' as const, url: proxy.url, connectTimeoutMS: 1_000 };
    const onEvent = (event: SessionEvent) => events.push(event);
    ({ dataSource, store } = await openExpressStore(typeorm, { entity: SessionEntity, deadline: DEADLINE, onEvent }));
    site = await startSite(store, { onError: false });
  });
  beforeEach(async () => {
    proxy.mode = 'pass';
    proxy.beforeStatement = undefined;
    await eventually(() =>
      answered((done) => store.length(done)).then(
        () => true,
        () => false,
      ),
    );
    await database.query('DELETE FROM sessions');
    site.errors.splice(0);
    events.splice(0);
  });
  afterAll(async () => {
    await site?.close();
    await store?.close();
    await dataSource?.destroy();
    await proxy?.close();
    await database?.drop();
  });

  const visitor = async () => {
    const client = site.client();
    await site.act(client, (req) => void (req.session.a = 1));
    return client;
  };
  const read: Handler = (req) => ({ a: req.session.a ?? null });

  for (const mode of ['refuse', 'silence'] as const) {
    it(`[express: outage] a database that is away (${mode}) is 503 for who has a cookie, and never a sign-out`, async () => {
      const client = await visitor();
      const { cookie } = client;
      const saidThatItIsGone: string[] = [];
      for (const name of ['disconnect', 'connect']) store.on(name, () => saidThatItIsGone.push(name));

      proxy.mode = mode;
      for (let visit = 0; visit < 3; visit++) {
        const reply = await site.act(client, read);
        expect([reply.status, reply.setCookies]).toEqual([503, []]);
        expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      expect(site.errors).toContainEqual(expect.objectContaining({ code: 'SESSION_UNAVAILABLE' }));
      expect(events).toContainEqual(expect.objectContaining({ type: 'store-failed', operation: 'find' }));
      expect((await site.act(site.client(), read)).status).toBe(200);

      proxy.mode = 'pass';
      await eventually(async () => (await site.act(client, read)).status === 200);
      expect((await site.act(client, read)).body).toEqual({ a: 1 });
      expect([client.cookie, saidThatItIsGone]).toEqual([cookie, []]);
    });
  }

  it('[express: outage] a sign-out that did not happen says so', async () => {
    const client = await visitor();
    const { status } = await site.act(client, async (req) => {
      proxy.mode = 'refuse';
      await answered((done) => req.session.destroy(done));
    });
    expect(status).toBe(503);
    proxy.mode = 'pass';
    await eventually(async () => (await site.act(client, read)).status === 200);
    expect((await site.act(client, read)).body).toEqual({ a: 1 });
  });

  it('[express: never back] a session that is destroyed while it is being inserted does not outlive that', async () => {
    await site.act(site.client(), async (req) => {
      const { session, sessionID } = req;
      session.a = 1;
      proxy.beforeStatement = (sql) => (sql.startsWith('INSERT') ? delay(DEADLINE / 2) : undefined);
      const saved = answered((done) => session.save(done));
      await answered((done) => store.destroy(sessionID, done));
      await saved;
      delete (req as { session?: unknown }).session;
    });
    expect(site.errors).toEqual([]);
    expect(await database.query('SELECT * FROM sessions')).toEqual([]);
  });

  it('[express: told] a save() that comes too late can be answered with its error', async () => {
    const client = await visitor();
    const { status, text } = await site.act(client, async (req) => {
      await database.query('DELETE FROM sessions');
      req.session.a = 2;
      await answered((done) => req.session.save(done)).catch((error: ExpressSessionError) => {
        delete (req as { session?: unknown }).session;
        throw error;
      });
    });
    expect([status, text.includes('SESSION_GONE') || text.includes('Sign in again')]).toEqual([401, true]);
  });

  it('[express: told] one at the end of the response cannot: the answer is out, and then the connection is closed', async () => {
    const client = await visitor();
    let headersWereOut: boolean | undefined;
    const handled = site.act(client, async (req, res) => {
      await database.query('DELETE FROM sessions');
      req.session.a = 2;
      res.json({ order: 'x'.repeat(1_000) });
      headersWereOut = res.headersSent;
    });
    const reply = await handled;
    expect([reply.status, reply.text.length, headersWereOut]).toEqual([200, 1_012, true]);
    await eventually(() => site.errors.length > 0);
    expect(site.errors).toMatchObject([{ code: 'SESSION_GONE' }]);
    expect(await database.query('SELECT * FROM sessions')).toEqual([]);
  });

  it('[express: told] which ends a connection that would have been kept', async () => {
    const client = await visitor();
    const isClosedAfter = async (change: boolean) => {
      const path = site.path(async (req) => {
        if (!change) return;
        await database.query('DELETE FROM sessions');
        req.session.a = 2;
      });
      return new Promise<boolean>((resolve, reject) => {
        const sent = request(`${site.url}${path}`, { method: 'POST', headers: { cookie: client.cookie } }, (res) => {
          const { socket } = res;
          res.resume().once('end', () => {
            // In the same turn it may be closed as well, and the timer comes first.
            const timer = setTimeout(() => setImmediate(() => (socket.destroy(), resolve(false))), 300);
            socket.once('close', () => (clearTimeout(timer), resolve(true)));
          });
        });
        sent.setHeader('connection', 'keep-alive');
        sent.once('error', reject).end();
      });
    };
    expect([await isClosedAfter(false), await isClosedAfter(true)]).toEqual([false, true]);
  });

  it('[express: set-up] a data source that is not initialized is said in a sentence, and found when it is', async () => {
    const late = new DataSource({ type: 'postgres', url: database.url, entities: [SessionEntity] });
    const lateStore = new ExpressSessionStore(late, { cleanup: false });
    await expect(lateStore.check()).rejects.toThrow('Await dataSource.initialize()');
    await expect(answered((done) => lateStore.get('x', done))).rejects.toMatchObject({ code: 'SESSION_CONFIG' });
    await late.initialize();
    await lateStore.check();
    expect(await answered((done) => lateStore.get('x', done))).toBeNull();
    await late.destroy();
  });

  it('[express: set-up] the table and the entity are checked', async () => {
    const other = new DataSource({ type: 'postgres', url: database.url, entities: [] });
    await other.initialize();
    await expect(new ExpressSessionStore(other, { cleanup: false }).check()).rejects.toThrow('list the entity');
    await other.destroy();
  });

  it('[express: set-up] a row that is no session counts as none, and is told', async () => {
    const client = await visitor();
    const [row] = await database.query<{ id: string }>(`UPDATE sessions SET data = '[]' RETURNING id`);
    expect((await site.act(client, read)).body).toEqual({ a: null });
    expect(events).toContainEqual({ type: 'unreadable', id: row!.id });
  });

  it('[express: clean-up] deletes what has expired, on its own schedule', async () => {
    const cleaning = new ExpressSessionStore(dataSource, { cleanup: { interval: '1s' } });
    await visitor();
    await visitor();
    await database.query(`UPDATE sessions SET expires_at = 'epoch' WHERE id = (SELECT id FROM sessions LIMIT 1)`);
    await eventually(async () => (await database.query('SELECT id FROM sessions')).length === 1);
    await cleaning.close();
  });

  it('[express: all] is an error rather than a part where there are more than it reads', async () => {
    await database.query(
      `INSERT INTO sessions (id, token_hash, data, version, created_at, touched_at, expires_at, absolute_expires_at,
         idle_timeout, persistent, last_write)
       SELECT gen_random_uuid(), sha256(n::text::bytea), '{}', 1, now(), now(), now() + '1 hour', now() + '1 hour', 1000, true,
         gen_random_uuid() FROM generate_series(1, 2500) AS n`,
    );
    await expect(answered((done) => store.all(done))).rejects.toMatchObject({ code: 'SESSION_TOO_MANY' });
    await database.query('DELETE FROM sessions WHERE id NOT IN (SELECT id FROM sessions LIMIT 1000)');
    expect(await answered<unknown[]>((done) => store.all(done))).toHaveLength(1_000);
    await answered((done) => store.clear(done));
    expect(await database.query('SELECT id FROM sessions')).toEqual([]);
  });
});
