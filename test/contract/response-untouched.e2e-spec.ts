import type { AddressInfo } from 'node:net';
import {
  Controller,
  Get,
  Header,
  NotFoundException,
  Options,
  Post,
  Redirect,
  Res,
  Sse,
  StreamableFile,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SkipSession } from 'nestjs-typeorm-session';
import { of } from 'rxjs';
import { PLATFORMS, startApp, type Platform, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';
import { rawRequest, type RawRequest } from '../support/raw-http.js';
import { rawOf, type AnyReply } from '../support/response-kinds.js';

class Pages {
  @Get('text')
  text() {
    return 'text';
  }

  @Get('object')
  @Header('Cache-Control', 'public, max-age=60')
  @Header('Set-Cookie', 'theme=dark')
  object() {
    return { a: 1 };
  }

  @Get('redirect')
  @Redirect('/elsewhere')
  redirect() {}

  @Get('stream')
  stream() {
    return new StreamableFile(Buffer.from('stream'));
  }

  @Get('raw')
  raw(@Res() reply: AnyReply) {
    rawOf(reply).writeHead(200, { 'X-Own': 'yes' }).end('raw');
  }

  @Sse('sse')
  sse() {
    return of({ data: 'a' });
  }

  @Get('missing')
  missing() {
    throw new NotFoundException();
  }

  @Get('error')
  error() {
    throw new Error('a bug');
  }

  @Options('options')
  options() {
    return 'asked';
  }
}

@Controller('pages')
class UnguardedPages extends Pages {}

@Controller('pages')
@SkipSession()
class SkippedPages extends Pages {}

/** Guarded, but for preflights and for the one route that is left alone. */
@Controller()
class GuardedPages {
  @Post('start')
  start(@Session() session: Session) {
    session.set('started', true);
  }

  @Options('preflight')
  preflight() {
    return 'asked';
  }

  @Get('guarded')
  guarded() {
    return 'guarded';
  }

  @Get('left-alone')
  @SkipSession()
  leftAlone() {
    return 'left alone';
  }
}

const ROUTES: readonly RawRequest[] = [
  ...['text', 'object', 'redirect', 'stream', 'raw', 'sse', 'missing', 'error'].map((path) => ({
    path: `/pages/${path}`,
  })),
  { method: 'HEAD', path: '/pages/text' },
  { method: 'OPTIONS', path: '/pages/options' },
  { path: '/no/such/route' },
  { method: 'POST', path: '/pages/text' },
];

const PREFLIGHT = {
  method: 'OPTIONS',
  headers: { origin: 'https://shop.example', 'access-control-request-method': 'POST' },
};

describe.each(PLATFORMS)('what has no session on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let plain: Awaited<ReturnType<typeof startPlainApp>>;
  let unguarded: TestApp;
  let guarded: TestApp;
  let withCors: TestApp;
  let cookie: string;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    const cors = (app: INestApplication) => app.enableCors({ origin: 'https://shop.example' });
    const options = { platform, databaseUrl: proxy.url };
    const unguardedOptions = { guardAll: false, cleanup: false as const, currentSession: true };
    [plain, unguarded, guarded, withCors] = await Promise.all([
      startPlainApp(platform, [UnguardedPages]),
      startApp({ ...options, controllers: [UnguardedPages], session: unguardedOptions }),
      startApp({ ...options, controllers: [SkippedPages, GuardedPages] }),
      startApp({ ...options, controllers: [GuardedPages], prepare: cors }),
    ]);
    const client = guarded.client();
    await client.post('/start');
    cookie = client.cookie;
    expect(cookie).toMatch(/^sid=/);
  });
  beforeEach(() => proxy.reset());
  afterAll(async () => {
    await plain?.app.close();
    await unguarded?.close();
    await guarded?.close();
    await withCors?.close();
    await proxy?.close();
    await database?.drop();
  });

  async function look(url: string, request: RawRequest, headers: Record<string, string> = {}) {
    const response = await rawRequest(url, { ...request, headers: { ...request.headers, ...headers } });
    const unlike = response.headers.filter(([name]) => name.toLowerCase() !== 'date');
    return { status: response.status, headers: unlike, text: response.text };
  }

  const named = ROUTES.map((request) => [`${request.method ?? 'GET'} ${request.path}`, request] as const);

  it.each(named)('[line 8] leaves %s as it is without the module', async (_, request) => {
    const expected = await look(plain.url, request);
    for (const app of [unguarded, guarded]) {
      expect(await look(app.url, request)).toEqual(expected);
      expect(await look(app.url, request, { cookie })).toEqual(expected);
    }
    expect(proxy.statements).toEqual([]);
  });

  it('[line 8] asks nothing for a route that is left alone, and something for its neighbour', async () => {
    const alone = await look(guarded.url, { path: '/left-alone' }, { cookie });
    expect(alone.text).toBe('left alone');
    expect(proxy.statements).toEqual([]);
    await look(guarded.url, { path: '/guarded' }, { cookie });
    expect(proxy.sessionStatements).toHaveLength(1);
  });

  it('[line 8] adds no header to a guarded route whose session nobody looked at', async () => {
    const { headers } = await look(guarded.url, { path: '/guarded' }, { cookie });
    const names = headers.map(([name]) => name.toLowerCase());
    for (const name of ['set-cookie', 'vary', 'cache-control']) expect(names).not.toContain(name);
  });

  it('[line 8] opens nothing for a preflight', async () => {
    for (const app of [guarded, withCors]) {
      const response = await look(app.url, { ...PREFLIGHT, path: '/preflight' }, { cookie });
      expect(response.status).toBeLessThan(300);
      expect(response.headers.map(([name]) => name.toLowerCase())).not.toContain('set-cookie');
    }
    expect(proxy.statements).toEqual([]);
  });
});

/** The same application without sessions. */
async function startPlainApp(platform: Platform, controllers: Type[]) {
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const module = { module: class PlainModule {}, controllers };
  const app = await NestFactory.create<INestApplication>(module, adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  return { app, url: `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}` };
}
