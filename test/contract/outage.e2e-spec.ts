import { Body, Controller, Get, Post, UseGuards, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { RequireSession, Session, SkipSession } from 'nestjs-typeorm-session';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';

/** Milliseconds: short, so that the tests of what happens after it need not wait long. */
const DEADLINE = 400;
const POOL_SIZE = 4;

class RefuseStrangers implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-friend'] === 'yes';
  }
}

@Controller()
class OutageController {
  @Get('peek')
  peek(@Session() session: Session) {
    return { data: Object.fromEntries(session.entries()) };
  }

  @Get('one-key')
  oneKey(@Session('a') a: unknown) {
    return { a };
  }

  @Get('blind')
  blind() {
    return 'does not look';
  }

  @Get('required')
  @RequireSession()
  required() {
    return 'in';
  }

  @Get('skipped')
  @SkipSession()
  skipped() {
    return 'skipped';
  }

  @Get('refused')
  @UseGuards(RefuseStrangers)
  refused() {
    return 'friend';
  }

  @Post('set')
  set(@Session() session: Session, @Body() values: Record<string, unknown>) {
    for (const [key, value] of Object.entries(values)) session.set(key, value);
    return 'done';
  }

  @Post('increment')
  async increment(@Session() session: Session) {
    return { n: await session.increment('n') };
  }

  @Post('take')
  async take(@Session() session: Session) {
    return { taken: await session.take('nonce') };
  }

  @Post('login')
  async login(@Session() session: Session) {
    await session.login('ann');
  }

  @Post('login-then-set')
  async loginThenSet(@Session() session: Session) {
    await session.login('ann');
    session.set('later', true);
  }

  @Post('logout')
  async logout(@Session() session: Session) {
    await session.destroy();
  }

  @Post('swallow')
  async swallow(@Session() session: Session) {
    await session.increment('n').catch(() => undefined);
    return 'all is well';
  }
}

describe.each(PLATFORMS)('an outage on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    const session = { guardAll: true, cleanup: false as const, deadline: DEADLINE };
    // Without a time limit on connecting, attempts at a database that does not answer fill the pool for minutes.
    const typeorm = { connectTimeoutMS: 2 * DEADLINE };
    const controllers = [OutageController];
    app = await startApp({ platform, databaseUrl: proxy.url, controllers, session, typeorm, poolSize: POOL_SIZE });
  });
  beforeEach(async () => {
    // The breaker may be open from the test before.
    await eventually(async () => (await app.client().post('/set', { a: 1 })).status === 201);
    proxy.reset();
    app.events.splice(0);
  });
  afterEach(() => {
    proxy.mode = 'pass';
    proxy.beforeStatement = undefined;
    proxy.dropAnswerTo = undefined;
  });
  afterAll(async () => {
    await app?.close();
    await proxy?.close();
    await database?.drop();
  });

  const visitor = async (values: Record<string, unknown> = { a: 1, n: 0, nonce: 'n' }) => {
    const client = app.client();
    await client.post('/set', values);
    return client;
  };

  for (const mode of ['refuse', 'silence'] as const) {
    describe(`with a database that meets connections with ${mode}`, () => {
      it('[line 9] answers 503 with Retry-After where the session is looked at, and touches no cookie', async () => {
        const client = await visitor();
        const { cookie } = client;
        proxy.mode = mode;
        for (const path of ['/peek', '/one-key', '/required']) {
          const reply = await client.get(path);
          expect([path, reply.status]).toEqual([path, 503]);
          expect(reply.body).toMatchObject({ statusCode: 503, code: 'SESSION_UNAVAILABLE' });
          expect(reply.headers.get('retry-after')).toBe('2');
          expect(reply.setCookies).toEqual([]);
        }
        for (const path of ['/set', '/increment', '/take', '/login', '/logout']) {
          const reply = await client.post(path, { b: 2 });
          expect([path, reply.status, reply.setCookies]).toEqual([path, 503, []]);
        }
        expect(client.cookie).toBe(cookie);
      });

      it('[line 9] lets through what does not look at the session, and what other guards refuse', async () => {
        const client = await visitor();
        proxy.mode = mode;
        expect(await client.get('/blind')).toMatchObject({ status: 200, text: 'does not look', setCookies: [] });
        expect(await client.get('/skipped')).toMatchObject({ status: 200, text: 'skipped' });
        expect(await client.get('/refused')).toMatchObject({ status: 403, setCookies: [] });
        expect(await app.client().get('/peek')).toMatchObject({ status: 200 });
      });

      it('[line 9] refuses a first write with 503 and no cookie', async () => {
        proxy.mode = mode;
        const reply = await app.client().post('/set', { a: 1 });
        expect(reply).toMatchObject({ status: 503, setCookies: [] });
      });

      it('[line 9] heals by itself, with nobody signed out', async () => {
        const client = await visitor();
        await client.post('/login');
        proxy.mode = mode;
        expect((await client.get('/required')).status).toBe(503);
        proxy.mode = 'pass';
        await eventually(async () => (await client.get('/required')).status === 200);
        expect((await client.post('/increment')).body).toEqual({ n: 1 });
      });
    });
  }

  it('[line 9] survives a restart of all connections without a single failed read', async () => {
    const client = await visitor();
    await Promise.all(Array.from({ length: POOL_SIZE }, () => client.get('/peek')));
    await database.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    const replies = await Promise.all(Array.from({ length: 8 }, () => client.get('/peek')));
    expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200));
  });

  it('[line 1] never turns an operation that failed into a success, even where the handler hides it', async () => {
    const client = await visitor();
    proxy.beforeStatement = (sql) => {
      if (sql.startsWith('UPDATE')) proxy.mode = 'refuse';
    };
    const reply = await client.post('/swallow');
    expect(reply.status).toBe(503);
    expect(reply.text).not.toContain('all is well');
  });

  it('[answer: deadline] gives up waiting for a connection, and writes nothing when one comes later', async () => {
    await database.query('DELETE FROM sessions');
    const dataSource = app.app.get(DataSource);
    const runners = Array.from({ length: POOL_SIZE }, () => dataSource.createQueryRunner());
    await Promise.all(runners.map((runner) => runner.connect()));
    const reply = await app.client().post('/increment');
    expect(reply).toMatchObject({ status: 503, body: { code: 'SESSION_UNAVAILABLE' }, setCookies: [] });
    await Promise.all(runners.map((runner) => runner.release()));
    // Behind the late one in the pool's queue: when this is answered, that one has had its turn.
    await visitor();
    expect(await database.query('SELECT data FROM sessions')).toEqual([{ data: { a: 1, n: 0, nonce: 'n' } }]);
  });

  it('[answer: deadline] destroys the connection of a write that outlasts it, and calls the outcome unknown', async () => {
    const client = await visitor();
    const blocker = new pg.Client({ connectionString: database.url });
    await blocker.connect();
    await blocker.query('BEGIN');
    await blocker.query('SELECT id FROM sessions FOR UPDATE');
    const reply = await client.post('/increment');
    expect(reply).toMatchObject({ status: 503, body: { code: 'SESSION_OUTCOME_UNKNOWN' } });
    expect(reply.headers.get('retry-after')).toBeNull();
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect((await client.get('/peek')).status).toBe(200);
  });

  it('[answer: ambiguous commit] sees by its mark that a write whose answer was lost has happened', async () => {
    const client = await visitor();
    let dropped = 0;
    proxy.dropAnswerTo = (sql) => sql.startsWith('UPDATE') && dropped++ === 0;
    expect(await client.post('/increment')).toMatchObject({ status: 201, body: { n: 1 } });
    dropped = 0;
    expect((await client.post('/set', { b: 2 })).status).toBe(201);
    dropped = 0;
    const { cookie } = client;
    expect((await client.post('/login')).status).toBe(201);
    expect(client.cookie).not.toBe(cookie);
    proxy.dropAnswerTo = undefined;
    expect((await client.get('/required')).status).toBe(200);
    const [row] = await database.query<{ version: number }>(
      'SELECT version FROM sessions ORDER BY touched_at DESC LIMIT 1',
    );
    // The INSERT and one write each: nothing was sent twice.
    expect(row).toEqual({ version: 4 });
  });

  it('[answer: ambiguous commit] sees a lost first write, and the cookie goes out', async () => {
    let dropped = 0;
    proxy.dropAnswerTo = (sql) => sql.startsWith('INSERT') && dropped++ === 0;
    const client = app.client();
    expect((await client.post('/set', { a: 1 })).status).toBe(201);
    expect((await client.get('/peek')).body).toEqual({ data: { a: 1 } });
  });

  it('[answer: ambiguous commit] answers 503 SESSION_OUTCOME_UNKNOWN where the mark cannot be seen, and does not repeat it', async () => {
    const client = await visitor();
    proxy.beforeStatement = (sql) => {
      if (sql.startsWith('UPDATE')) setTimeout(() => (proxy.mode = 'refuse'), 50);
    };
    proxy.dropAnswerTo = (sql) => sql.startsWith('UPDATE');
    proxy.reset();
    const blocker = new pg.Client({ connectionString: database.url });
    await blocker.connect();
    await blocker.query('BEGIN');
    await blocker.query('SELECT id FROM sessions FOR UPDATE');
    const reply = await client.post('/increment');
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect(reply).toMatchObject({ status: 503, body: { code: 'SESSION_OUTCOME_UNKNOWN' } });
    expect(proxy.statements.filter((sql) => sql.startsWith('UPDATE'))).toHaveLength(1);
  });

  it('[answer: ambiguous commit] does not hand out a value that went with the lost answer of take()', async () => {
    const client = await visitor();
    let dropped = 0;
    proxy.dropAnswerTo = (sql) => sql.startsWith('WITH taken') && dropped++ === 0;
    expect(await client.post('/take')).toMatchObject({ status: 503, body: { code: 'SESSION_OUTCOME_UNKNOWN' } });
  });

  it('[line 7] sends the cookie of a sign-in that committed with our own 503', async () => {
    const client = await visitor();
    const { cookie } = client;
    proxy.beforeStatement = (sql) => {
      if (sql.startsWith('UPDATE') && !sql.includes('previous_token_hash')) proxy.mode = 'refuse';
    };
    const reply = await client.post('/login-then-set');
    expect(reply.status).toBe(503);
    expect(reply.setCookies).toHaveLength(1);
    expect(reply.headers.get('cache-control')).toBe('no-store');
    proxy.beforeStatement = undefined;
    proxy.mode = 'pass';
    expect(client.cookie).not.toBe(cookie);
    expect((await client.get('/required')).status).toBe(200);
  });

  it('[answer: pool of one] cannot be starved for longer than the deadline by a handler that holds the only connection', async () => {
    @Controller()
    class Greedy {
      @Post('greedy')
      async greedy(@Session() session: Session) {
        session.set('first', 1);
        const held = new Promise((resolve) => setTimeout(resolve, 2 * DEADLINE));
        await Promise.all([held, session.save()]);
      }
    }
    const session = { guardAll: true, cleanup: false as const, deadline: DEADLINE };
    const small = await startApp({ platform, databaseUrl: database.url, controllers: [Greedy], session, poolSize: 1 });
    const runner = small.app.get(DataSource).createQueryRunner();
    await runner.connect();
    const reply = await small.client().post('/greedy');
    expect(reply).toMatchObject({ status: 503, body: { code: 'SESSION_UNAVAILABLE' } });
    await runner.release();
    expect((await small.client().post('/greedy')).status).toBe(201);
    await small.close();
  });
});
