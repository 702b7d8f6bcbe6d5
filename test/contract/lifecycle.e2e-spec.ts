import { Body, Controller, Get, Post, UseGuards } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SessionGuard } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';

interface Shop {
  cart?: string[];
  visits?: number;
  [key: string]: unknown;
}

@Controller()
@UseGuards(SessionGuard)
class LifecycleController {
  @Get('peek')
  peek(@Session() session: Session<Shop>) {
    return {
      id: session.id,
      userId: session.userId ?? null,
      isNew: session.isNew,
      data: Object.fromEntries(session.entries()),
    };
  }

  @Get('ignore')
  ignore() {
    return 'ok';
  }

  @Post('set')
  set(@Session() session: Session<Shop>, @Body() values: Record<string, unknown>) {
    for (const [key, value] of Object.entries(values)) session.set(key, value);
    return { id: session.id };
  }

  @Post('login')
  async login(@Session() session: Session<Shop>) {
    await session.login('ann', { keep: ['cart'] });
    return { id: session.id, userId: session.userId };
  }

  @Post('regenerate')
  async regenerate(@Session() session: Session<Shop>) {
    await session.regenerate();
    return { id: session.id };
  }

  @Post('logout')
  async logout(@Session() session: Session<Shop>) {
    await session.destroy();
  }

  @Post('atomic')
  async atomic(@Session() session: Session<Shop>) {
    const visits = await session.increment('visits');
    const length = await session.append('cart', 'a', 'b');
    const first = await session.setIfAbsent('nonce', 'n');
    const second = await session.setIfAbsent('nonce', 'm');
    const nonce = await session.take('nonce');
    const again = await session.take('nonce');
    const updated = await session.update('visits', (visits = 0) => visits * 10);
    return { visits, length, first, second, nonce, again: again ?? null, updated, now: session.get('visits') };
  }
}

describe.each(PLATFORMS)('the life of a session on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    app = await startApp({ platform, databaseUrl: proxy.url, controllers: [LifecycleController] });
  });
  beforeEach(async () => {
    await database.query('DELETE FROM sessions');
    proxy.reset();
  });
  afterAll(async () => {
    await app?.close();
    await proxy?.close();
    await database?.drop();
  });

  const rows = async () => Number((await database.query<{ n: string }>('SELECT count(*) AS n FROM sessions'))[0]!.n);

  it('[line 8] asks no database and sets no cookie for a visitor without one', async () => {
    const reply = await app.client().get('/peek');
    expect(reply.status).toBe(200);
    expect(reply.setCookies).toEqual([]);
    expect(proxy.sessionStatements).toEqual([]);
    expect(await rows()).toBe(0);
  });

  it('[line 8] inserts with the first write, selects to read, updates to change', async () => {
    const client = app.client();
    const first = await client.post('/set', { a: 1 });
    expect(first.setCookies).toHaveLength(1);
    expect(proxy.sessionStatements.map((sql) => sql.slice(0, 6))).toEqual(['INSERT']);
    proxy.reset();
    const read = await client.get('/peek');
    expect(read.body).toMatchObject({ isNew: false, data: { a: 1 } });
    expect(read.setCookies).toEqual([]);
    expect(proxy.sessionStatements.map((sql) => sql.slice(0, 6))).toEqual(['SELECT']);
    proxy.reset();
    await client.post('/set', { b: 2 });
    expect(proxy.sessionStatements.map((sql) => sql.slice(0, 6))).toEqual(['SELECT', 'UPDATE']);
    expect((await client.get('/peek')).body).toMatchObject({ data: { a: 1, b: 2 } });
  });

  it('[line 8] asks nothing for a malformed cookie, and once for one that is well-formed and unknown', async () => {
    const token = 'A'.repeat(43);
    const junk = ['', 'x', token.slice(1), `${token}A`, `"${token}"`, `${token.slice(1)}%41`, `${token.slice(1)}=`];
    const read = (value: string) => app.client().get('/peek', { headers: { cookie: `sid=${value}; SID=${token}` } });
    for (const value of junk) {
      const reply = await read(value);
      expect([reply.status, reply.setCookies, proxy.sessionStatements]).toEqual([200, [], []]);
    }
    await read(token);
    expect(proxy.sessionStatements.map((sql) => sql.slice(0, 6))).toEqual(['SELECT']);
  });

  it('[line 8] costs one SELECT of a route that does not look, and no header', async () => {
    const client = app.client();
    await client.post('/set', { a: 1 });
    proxy.reset();
    const reply = await client.get('/ignore');
    expect([reply.headers.get('vary'), reply.headers.get('cache-control'), reply.setCookies]).toEqual([null, null, []]);
    expect(proxy.sessionStatements.map((sql) => sql.slice(0, 6))).toEqual(['SELECT']);
  });

  it('[line 5] changes the token and keeps the id at sign-in, and the old token is anonymous', async () => {
    const client = app.client();
    const { body } = await client.post<{ id: string }>('/set', { cart: ['tea'], planted: true });
    const old = client.cookie;
    const login = await client.post<{ id: string }>('/login');
    expect(login.body).toEqual({ id: body.id, userId: 'ann' });
    expect(client.cookie).not.toBe(old);
    expect((await client.get('/peek')).body).toMatchObject({ id: body.id, userId: 'ann', data: { cart: ['tea'] } });
    client.cookie = old;
    expect((await client.get('/peek')).body).toMatchObject({ isNew: true, data: {} });
    expect(await rows()).toBe(1);
  });

  it('[line 4] removes row and cookie at sign-out', async () => {
    const client = app.client();
    await client.post('/set', { a: 1 });
    const old = client.cookie;
    await client.post('/logout');
    expect(client.cookie).toBe('');
    expect(await rows()).toBe(0);
    client.cookie = old;
    expect((await client.get('/peek')).body).toMatchObject({ isNew: true });
  });

  it('[line 3] runs atomic operations, on a session without a row too', async () => {
    const client = app.client();
    const expected = {
      visits: 1,
      length: 2,
      first: true,
      second: false,
      nonce: 'n',
      again: null,
      updated: 10,
      now: 10,
    };
    const reply = await client.post('/atomic');
    expect(reply.body).toEqual(expected);
    expect((await client.post('/atomic')).body).toEqual({ ...expected, visits: 11, length: 4, updated: 110, now: 110 });
    expect((await client.get('/peek')).body).toMatchObject({ data: { visits: 110, cart: ['a', 'b', 'a', 'b'] } });
  });

  it('[line 5] regenerates in one UPDATE', async () => {
    const client = app.client();
    const { body } = await client.post<{ id: string }>('/set', { a: 1 });
    const old = client.cookie;
    proxy.reset();
    await client.post('/regenerate');
    expect(proxy.sessionStatements.map((sql) => sql.slice(0, 6))).toEqual(['SELECT', 'UPDATE']);
    expect(client.cookie).not.toBe(old);
    expect((await client.get('/peek')).body).toMatchObject({ id: body.id, data: { a: 1 } });
  });
});
