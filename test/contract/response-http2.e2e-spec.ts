import { once } from 'node:events';
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { text } from 'node:stream/consumers';
import { Controller, Delete, Get, Post } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Session } from 'nestjs-typeorm-session';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';

@Controller()
class ShopController {
  @Get()
  read(@Session('name') name: string | undefined) {
    return { name: name ?? 'nobody' };
  }

  @Post()
  async write(@Session() session: Session) {
    session.set('name', 'ann');
    return { name: 'ann' };
  }

  @Delete()
  async end(@Session() session: Session) {
    await session.destroy();
  }
}

describe('[line 1] over HTTP/2, where a response keeps its head elsewhere', () => {
  let database: TestDatabase;
  let testApp: TestApp;
  let client: ClientHttp2Session;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    testApp = await startApp({
      platform: 'fastify',
      adapter: new FastifyAdapter({ http2: true }),
      databaseUrl: database.url,
      controllers: [ShopController],
    });
    client = connect(testApp.url);
  });
  afterAll(async () => {
    client.close();
    await testApp.close();
    await database.drop();
  });

  async function ask(method: string, cookie?: string) {
    const stream = client.request({ ':method': method, ':path': '/', ...(cookie && { cookie }) });
    const [headers] = (await once(stream.end(), 'response')) as [IncomingHttpHeaders];
    return { headers, body: await text(stream) };
  }

  it('[line 1] a session is created, read and ended, each answer with its headers', async () => {
    const written = await ask('POST');
    expect(written).toMatchObject({ headers: { ':status': 201, 'cache-control': 'no-store' }, body: '{"name":"ann"}' });
    const [cookie] = written.headers['set-cookie']!.map((line) => line.split(';')[0]!);
    const shared = { ':status': 200, vary: 'Cookie', 'cache-control': 'private' };
    const read = await ask('GET', cookie);
    expect(read).toMatchObject({ headers: shared, body: '{"name":"ann"}' });
    expect(read.headers).not.toHaveProperty('set-cookie');
    const ended = await ask('DELETE', cookie);
    expect(ended.headers['set-cookie']).toEqual([expect.stringContaining('Max-Age=0')]);
    expect(await ask('GET', cookie)).toMatchObject({ headers: shared, body: '{"name":"nobody"}' });
    expect(await ask('GET')).toMatchObject({ headers: shared, body: '{"name":"nobody"}' });
  });
});
