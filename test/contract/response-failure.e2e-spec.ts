import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Get, Param, Post, Redirect, Res, Sse, UseGuards } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SessionGuard } from 'nestjs-typeorm-session';
import { NEVER, Observable } from 'rxjs';
import { DataSource } from 'typeorm';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { untilPoolIsEmpty } from '../support/pool.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';
import { RawConnection, rawRequest, type RawResponse } from '../support/raw-http.js';
import {
  ChangeSession,
  KIND_CONTROLLERS,
  KINDS,
  rawOf,
  stage,
  useCompression,
  type AnyReply,
  type ResponseKind,
} from '../support/response-kinds.js';
import { waitForWaiting, whileRowsAreLocked, whileTableIsLocked } from '../support/row-lock.js';

/** What an answer of ours says nothing about, and what describes the one it replaces. */
const KEPT = {
  'access-control-allow-origin': 'https://shop.example',
  'access-control-allow-credentials': 'true',
  'content-security-policy': "default-src 'self'",
  'content-security-policy-report-only': "img-src 'self'",
  'strict-transport-security': 'max-age=1',
  'x-content-type-options': 'nosniff',
  'x-request-id': 'r1',
};
const DROPPED = {
  'content-disposition': 'attachment',
  'content-language': 'en',
  'content-location': '/other',
  'content-range': 'bytes 0-1/2',
  'accept-ranges': 'bytes',
  etag: '"v1"',
  expires: 'Thu, 01 Jan 2099 00:00:00 GMT',
  'last-modified': 'Thu, 01 Jan 2015 00:00:00 GMT',
  location: '/elsewhere',
  refresh: '0; url=/elsewhere',
  'x-accel-redirect': '/private/file',
  'x-sendfile': '/private/file',
};

let subscribers = 0;

@Controller()
@UseGuards(SessionGuard)
class FailureController {
  @Post('start')
  start(@Session() session: Session) {
    session.set('started', true);
  }

  @Get('headers')
  @UseGuards(ChangeSession)
  headers(@Res() reply: AnyReply) {
    for (const [name, value] of Object.entries({ ...KEPT, ...DROPPED })) reply.header(name, value);
    reply.header('content-type', 'text/html').header('cache-control', 'public, max-age=60');
    reply.header('set-cookie', 'theme=dark').status(206).send('<p>private</p>');
  }

  @Get('with-cookie/:operation')
  @Redirect('/elsewhere')
  async withCookie(@Session() session: Session, @Param('operation') operation: string) {
    if (operation === 'login') await session.login('ann');
    if (operation === 'regenerate') await session.regenerate();
    if (operation === 'destroy') await session.destroy();
    if (operation === 'increment') await session.increment('n');
    session.set('late', true);
    await stage.beforeAnswer?.();
  }

  @Get('not-awaited')
  async notAwaited(@Session() session: Session) {
    await stage.beforeAnswer?.();
    void session.increment('n');
    return 'all is well';
  }

  @Sse('silent-sse')
  @UseGuards(ChangeSession)
  silentSse() {
    return new Observable<never>((subscriber) => {
      subscribers++;
      subscriber.add(() => subscribers--);
      return NEVER.subscribe(subscriber);
    });
  }

  @Get('endless')
  @UseGuards(ChangeSession)
  async endless(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    let chunks = 0;
    // A handler that heeds the response's wishes must get to its end all the same.
    while (chunks < 40) {
      chunks++;
      if (!raw.write('.'.repeat(10_000))) await new Promise((resolve) => raw.once('drain', resolve));
    }
    await new Promise<void>((resolve) => raw.end(() => resolve()));
    finished.push('endless');
  }
}

const finished: string[] = [];

describe.each(PLATFORMS)('a commit that fails on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp;
  let hasty: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    const controllers = [FailureController, ...KIND_CONTROLLERS];
    const prepare = (nest: TestApp['app']) => useCompression(nest, platform);
    const session = { guardAll: false, cleanup: false as const, deadline: '20s' };
    const options = { platform, controllers, prepare };
    [app, hasty] = await Promise.all([
      startApp({ ...options, databaseUrl: proxy.url, session, poolSize: 80 }),
      startApp({ ...options, databaseUrl: database.url, session: { ...session, deadline: 250 }, poolSize: 4 }),
    ]);
  });
  beforeEach(async () => {
    await database.query('DELETE FROM sessions');
    stage.streams.clear();
  });
  afterEach(() => {
    proxy.mode = 'pass';
    stage.beforeAnswer = undefined;
  });
  afterAll(async () => {
    await app?.close();
    await hasty?.close();
    await proxy?.close();
    await database?.drop();
  });

  async function newCookie(node = app): Promise<string> {
    const client = node.client();
    await client.post('/start');
    return client.cookie;
  }

  /** The database goes away once so many handlers are about to answer. */
  function goAwayAfter(count: number): void {
    let arrived = 0;
    let leave: () => void;
    const away = new Promise<void>((resolve) => (leave = resolve));
    stage.beforeAnswer = async () => {
      if (++arrived === count) {
        proxy.mode = 'refuse';
        // Until the pool has noticed, a write would be lost under way instead of never sent.
        await untilPoolIsEmpty(app.app.get(DataSource));
        leave();
      }
      await away;
    };
  }

  /** One request of each kind, all at once, on connections that stay open. */
  async function requestAll(cookies?: readonly string[]) {
    const connections = await Promise.all(kinds.map(() => RawConnection.open(app.url)));
    const responses = kinds.map((kind, index) => {
      const cookie = cookies && { cookie: cookies[index]! };
      return connections[index]!.send({ ...kind, headers: { ...kind.headers, ...cookie } });
    });
    return {
      async responses(): Promise<Map<string, PromiseSettledResult<RawResponse>>> {
        const settled = await Promise.allSettled(responses);
        return new Map(kinds.map(({ name }, index) => [name, settled[index]!]));
      },
      hangUp: () => connections.forEach((connection) => connection.destroy()),
    };
  }

  function expectOurs(result: PromiseSettledResult<RawResponse> | undefined, kind: ResponseKind, code: string): void {
    if (result?.status !== 'fulfilled') throw result?.reason ?? new Error('no response');
    const response = result.value;
    expect(response.status).toBe(503);
    expect(response.statusMessage).toBe('Service Unavailable');
    expect(response.header('content-type')).toBe('application/json; charset=utf-8');
    expect(response.header('cache-control')).toBe('no-store');
    expect(response.header('retry-after')).toBe(code === 'SESSION_UNAVAILABLE' ? '2' : undefined);
    const gone = ['location', 'etag', 'content-encoding', 'content-disposition', 'transfer-encoding', 'trailer'];
    expect(gone.filter((name) => response.lines(name).length > 0)).toEqual([]);
    expect(response.lines('set-cookie').filter((line) => line.startsWith('sid='))).toEqual([]);
    if (kind.method === 'HEAD') return;
    const body = JSON.parse(response.text) as Record<string, unknown>;
    expect(body).toEqual({ statusCode: 503, code, message: expect.any(String) });
    expect(response.header('content-length')).toBe(String(response.body.length));
  }

  const kinds = KINDS.filter(({ platforms }) => platforms.includes(platform));
  const named = kinds.map((kind) => [kind.name, kind] as const);

  describe('because the database has gone', () => {
    let responses: Awaited<ReturnType<Awaited<ReturnType<typeof requestAll>>['responses']>>;
    let rows: { data: object }[];
    let streams: typeof stage.streams;
    const streamOf = (kind: ResponseKind) => (kind.isStream ? streams.get(kind.path) : undefined);

    beforeAll(async () => {
      const cookies = await Promise.all(kinds.map(() => newCookie()));
      goAwayAfter(kinds.length);
      const requests = await requestAll(cookies);
      responses = await requests.responses();
      rows = await database.query('SELECT data FROM sessions');
      streams = new Map(stage.streams);
      // Where one is not, the test of its kind says so.
      await eventually(() => kinds.every((kind) => streamOf(kind)?.destroyed !== false), 1_000).catch(() => {});
      requests.hangUp();
    }, 30_000);

    it.each(named)('[line 1] turns %s into a 503', (name, kind) => {
      expectOurs(responses.get(name), kind, 'SESSION_UNAVAILABLE');
      expect(streamOf(kind)?.destroyed).not.toBe(false);
    });

    it('[line 1] has saved nothing', () => {
      expect(rows).toEqual(kinds.map(() => ({ data: { started: true } })));
      expect(streams.size).toBeGreaterThan(5);
    });
  });

  describe('because its connection was cut', () => {
    let responses: Awaited<ReturnType<Awaited<ReturnType<typeof requestAll>>['responses']>>;

    beforeAll(async () => {
      const cookies = await Promise.all(kinds.map(() => newCookie()));
      await whileRowsAreLocked(database, async () => {
        const requests = await requestAll(cookies);
        await waitForWaiting(database, kinds.length);
        await cutWaiting();
        responses = await requests.responses();
        requests.hangUp();
      });
    }, 30_000);

    it.each(named)('[line 1] turns %s into a 503', (name, kind) => {
      expectOurs(responses.get(name), kind, 'SESSION_OUTCOME_UNKNOWN');
    });
  });

  describe('while it inserts', () => {
    let responses: Awaited<ReturnType<Awaited<ReturnType<typeof requestAll>>['responses']>>;

    beforeAll(async () => {
      goAwayAfter(kinds.length);
      const requests = await requestAll();
      responses = await requests.responses();
      requests.hangUp();
    }, 30_000);

    it.each(named)('[answer: insert at the edge fails] turns %s into a 503 without a cookie', (name, kind) => {
      expectOurs(responses.get(name), kind, 'SESSION_UNAVAILABLE');
    });
  });

  async function cutWaiting(): Promise<void> {
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
  }

  it('[answer: insert at the edge fails] sends no cookie where the connection was cut either', async () => {
    const response = await whileTableIsLocked(database, async () => {
      const promised = rawRequest(app.url, { path: '/plain/redirect' });
      await waitForWaiting(database, 1);
      await cutWaiting();
      return promised;
    });
    expect(response.status).toBe(503);
    expect(response.lines('set-cookie')).toEqual([]);
    expect(await database.query('SELECT id FROM sessions')).toEqual([]);
  });

  it('[line 1] answers 503 where the deadline passes', async () => {
    const cookie = await newCookie(hasty);
    const paths = ['/plain/res-redirect', '/plain/large'];
    const responses = await whileRowsAreLocked(database, () =>
      Promise.all(paths.map((path) => rawRequest(hasty.url, { path, headers: { cookie } }))),
    );
    for (const response of responses) {
      expect(response.status).toBe(503);
      expect(JSON.parse(response.text)).toMatchObject({ code: 'SESSION_OUTCOME_UNKNOWN' });
      expect(response.lines('location')).toEqual([]);
    }
  });

  it('[line 1] drops what describes the replaced answer, and keeps the rest', async () => {
    const before = await rawRequest(app.url, { path: '/headers', headers: { cookie: await newCookie() } });
    expect(before.status).toBe(206);
    for (const [name, value] of Object.entries({ ...KEPT, ...DROPPED })) expect(before.header(name)).toBe(value);
    const cookie = await newCookie();
    goAwayAfter(1);
    const response = await rawRequest(app.url, { path: '/headers', headers: { cookie } });
    expect(response.status).toBe(503);
    for (const [name, value] of Object.entries(KEPT)) expect([name, response.header(name)]).toEqual([name, value]);
    for (const name of Object.keys(DROPPED)) expect([name, response.header(name)]).toEqual([name, undefined]);
    expect(response.header('cache-control')).toBe('no-store');
    expect(response.header('set-cookie')).toBe('theme=dark');
    expect(response.text).not.toContain('private');
  });

  it('[line 1] recovers with the database, on the same connection', async () => {
    const cookie = await newCookie();
    const connection = await RawConnection.open(app.url);
    goAwayAfter(1);
    expect((await connection.send({ path: '/plain/object', headers: { cookie } })).status).toBe(503);
    proxy.mode = 'pass';
    stage.beforeAnswer = undefined;
    expect((await connection.send({ path: '/plain/object', headers: { cookie } })).text).toBe('{"kind":"object"}');
    connection.destroy();
  });

  it.each([
    ['login', /^sid=[^;]+; .*Max-Age=[1-9]/],
    ['regenerate', /^sid=[^;]+; .*Max-Age=[1-9]/],
    ['destroy', /^sid=; .*Max-Age=0/],
  ])('[line 7] sends the cookie of a %s that committed with our own 503', async (operation, line) => {
    const cookie = await newCookie();
    goAwayAfter(1);
    const response = await rawRequest(app.url, { path: `/with-cookie/${operation}`, headers: { cookie } });
    expect(response.status).toBe(503);
    expect(response.header('location')).toBeUndefined();
    expect(response.header('set-cookie')).toMatch(line);
    expect(response.header('cache-control')).toBe('no-store');
    const rows = await database.query<{ user_id: string | null; data: object }>('SELECT user_id, data FROM sessions');
    if (operation === 'login') expect(rows).toEqual([{ user_id: 'ann', data: {} }]);
    if (operation === 'regenerate') expect(rows).toEqual([{ user_id: null, data: { started: true } }]);
    if (operation === 'destroy') expect(rows).toEqual([]);
  });

  it('[line 7] sends the cookie of an atomic operation that inserted with our own 503', async () => {
    goAwayAfter(1);
    const response = await rawRequest(app.url, { path: '/with-cookie/increment' });
    expect(response.status).toBe(503);
    expect(response.header('set-cookie')).toMatch(/^sid=[^;]+; /);
    expect(await database.query('SELECT data FROM sessions')).toEqual([{ data: { n: 1 } }]);
  });

  it('[line 1] answers 503 where an operation that nobody awaited fails', async () => {
    const cookie = await newCookie();
    goAwayAfter(1);
    const response = await rawRequest(app.url, { path: '/not-awaited', headers: { cookie } });
    expect(response.status).toBe(503);
    expect(JSON.parse(response.text)).toMatchObject({ code: 'SESSION_UNAVAILABLE' });
  });

  it('[line 1] ends server-sent events that were never begun, though their source says nothing', async () => {
    const cookie = await newCookie();
    const connection = await RawConnection.open(app.url);
    goAwayAfter(1);
    const response = await connection.send({ path: '/silent-sse', headers: { cookie } });
    expect(response.status).toBe(503);
    // Sooner than an idle connection would end by itself.
    await Promise.race([connection.closed(), delay(1_000)]);
    expect(connection.isClosed).toBe(true);
    await eventually(() => subscribers === 0, 1_000);
  });

  it('[line 1] lets a handler that goes on writing come to its end', async () => {
    const cookie = await newCookie();
    goAwayAfter(1);
    const response = await rawRequest(app.url, { path: '/endless', headers: { cookie } });
    expect(response.status).toBe(503);
    await eventually(() => finished.length > 0, 1_000);
    expect(finished.splice(0)).toEqual(['endless']);
  });
});
