import { Controller, Get, Post } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session } from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import type { Client } from '../support/client.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Gate, times } from '../support/lab.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';

/** Milliseconds: so long that what waits for it and what does not cannot be confused. */
const DEADLINE = 3_000;
const AT_ONCE = 1_200;
const POOL_SIZE = 8;

@Controller()
class VisitController {
  @Get('peek')
  peek(@Session() session: Session) {
    return { n: session.get('n') };
  }

  @Get('blind')
  blind() {
    return 'does not look';
  }

  @Post('increment')
  async increment(@Session() session: Session) {
    return { n: await session.increment('n') };
  }

  @Post('login')
  async login(@Session() session: Session) {
    await session.login('ann', { keep: ['n'] });
  }
}

describe.each(PLATFORMS)('a database that stays away on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp;
  let client: Client;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    app = await startNode(proxy);
  });
  beforeEach(async () => {
    await eventually(async () => (await app.client().post('/increment')).status === 201, 10_000);
    client = app.client();
    await client.post('/increment');
    await client.post('/login');
    app.events.splice(0);
  });
  afterEach(() => {
    proxy.mode = 'pass';
    proxy.beforeStatement = undefined;
  });
  afterAll(async () => {
    await app?.close();
    await proxy?.close();
    await database?.drop();
  });

  const startNode = ({ url }: PostgresProxy) =>
    startApp({
      platform,
      databaseUrl: url,
      controllers: [VisitController],
      session: { guardAll: true, cleanup: false, deadline: DEADLINE },
      typeorm: { connectTimeoutMS: 1_000 },
      poolSize: POOL_SIZE,
    });
  const reasons = ({ events } = app) =>
    events.map((event) => (event.type === 'store-failed' ? event.reason : event.type));
  /** Requests that come one after the other, and do not wait for each other, until the breaker is open. */
  const exhaustPatience = async () => {
    const asked: Promise<unknown>[] = [];
    await eventually(async () => {
      asked.push(client.get('/peek'));
      await new Promise((resolve) => setTimeout(resolve, 80));
      return reasons().includes('breaker');
    }, 12_000);
    await Promise.all(asked);
  };
  const timed = async <R>(work: () => Promise<R>) => {
    const since = performance.now();
    return [await work(), performance.now() - since] as const;
  };

  for (const mode of ['refuse', 'silence'] as const) {
    it(`[breaker] [line 9] answers at once where connections meet ${mode}, and signs nobody out`, async () => {
      const { cookie } = client;
      proxy.mode = mode;
      await exhaustPatience();
      const replies = [];
      for (let round = 0; round < 10; round++) replies.push(await timed(() => client.get('/peek')));
      const quick = replies.filter(([, milliseconds]) => milliseconds < AT_ONCE);
      // Whoever asks whether it is back waits for the answer: one of many.
      expect(quick.length).toBeGreaterThanOrEqual(7);
      for (const [reply] of replies) {
        expect(reply).toMatchObject({ status: 503, body: { code: 'SESSION_UNAVAILABLE' }, setCookies: [] });
        expect(reply.headers.get('retry-after')).toBe('2');
      }
      const writes = await times(3, () => client.post('/increment'));
      expect(writes.map(({ status }) => status)).toEqual([503, 503, 503]);
      expect(client.cookie).toBe(cookie);

      proxy.mode = 'pass';
      const [, healing] = await timed(() => eventually(async () => (await client.get('/peek')).status === 200, 10_000));
      expect(healing).toBeLessThan(3_000);
      expect((await client.get('/peek')).body).toEqual({ n: 1 });
      expect((await client.post('/increment')).body).toEqual({ n: 2 });
    }, 60_000);
  }

  it('[breaker] [line 9] answers at once what does not look at its session', async () => {
    proxy.mode = 'silence';
    await exhaustPatience();
    const [replies, milliseconds] = await timed(() => times(20, () => client.get('/blind')));
    expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(200));
    // One of them may ask whether the database is back.
    expect(milliseconds).toBeLessThan(DEADLINE + AT_ONCE);
    const each = await times(20, () => timed(() => client.get('/blind')));
    expect(each.filter(([, took]) => took < AT_ONCE).length).toBeGreaterThanOrEqual(19);
  }, 60_000);

  it('[breaker] two connections that died in silence hold up nobody else', async () => {
    // Of their own: what was asked in the outages before may still be under way.
    const own = await startPostgresProxy(database.url);
    const node = await startNode(own);
    const visitors = await times(6, async () => {
      const visitor = node.client();
      await visitor.post('/increment');
      return visitor;
    });
    const gate = new Gate();
    let held = 0;
    own.beforeStatement = (sql) => (sql.startsWith('SELECT') && held++ < 2 ? gate.pass() : undefined);
    let answered = 0;
    const hanging: Promise<unknown>[] = [];
    for (const visitor of visitors.slice(0, 2)) {
      hanging.push(visitor.get('/peek').then(() => (answered += 1)));
      // Two that come in the same turn share one statement, and one connection.
      await eventually(() => held >= hanging.length);
    }
    const [replies, milliseconds] = await timed(() => Promise.all(visitors.slice(2).map((one) => one.get('/peek'))));
    expect([replies.map(({ status }) => status), answered]).toEqual([Array(4).fill(200), 0]);
    expect(milliseconds).toBeLessThan(AT_ONCE);
    await Promise.all(hanging);
    gate.open();
    // And they were no outage.
    expect((await visitors[0]!.get('/peek')).status).toBe(200);
    expect(reasons(node)).not.toContain('breaker');
    await node.close();
    await own.close();
  }, 60_000);

  it('[breaker] stays closed where the application has all connections in use', async () => {
    const impatient = await startApp({
      platform,
      databaseUrl: database.url,
      controllers: [VisitController],
      session: { guardAll: true, cleanup: false, deadline: 100 },
      poolSize: 2,
    });
    const dataSource = impatient.app.get(DataSource);
    const runners = [dataSource.createQueryRunner(), dataSource.createQueryRunner()];
    await Promise.all(runners.map((runner) => runner.connect()));
    for (let round = 0; round < 8; round++) {
      expect((await client.at(impatient.url).get('/peek')).status).toBe(503);
    }
    await Promise.all(runners.map((runner) => runner.release()));
    expect((await client.at(impatient.url).get('/peek')).status).toBe(200);
    await impatient.close();
  });
});
