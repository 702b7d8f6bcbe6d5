import { Controller, Get, Req, UseGuards, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  requestSession,
  Session,
  SessionGuard,
  SessionModule,
  type SessionModuleOptions,
} from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { Client } from '../support/client.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';
import type { ViewRequest } from '../support/view-lab.js';

type Middleware = (request: IncomingMessage & { session?: any }, response: ServerResponse, next: () => void) => void;

@Controller()
class OpeningController {
  @Get('seen')
  seen(@Req() request: ViewRequest) {
    return { by: request.session.by as unknown, id: request.session.id };
  }

  @Get('guarded')
  @UseGuards(SessionGuard)
  guarded(@Session() session: Session, @Req() request: ViewRequest) {
    return { by: session.get('by') as unknown, same: session.id === request.session.id };
  }

  @Get('raw')
  raw(@Req() request: ViewRequest) {
    return { session: (request.session as unknown) ?? null };
  }
}

const ofMiddleware: Middleware = (request, _response, next) => {
  request.session.by = 'middleware';
  next();
};

describe.each(PLATFORMS)('[req.session] opening it on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp | undefined;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });
  afterAll(async () => {
    await proxy?.close();
    await database?.drop();
  });

  const start = async (session: SessionModuleOptions, prepare?: (app: INestApplication) => unknown) => {
    const controllers = [OpeningController];
    app = await startApp({
      platform,
      databaseUrl: proxy.url,
      controllers,
      session: { guardAll: false, ...session },
      prepare,
    });
    return app.client();
  };

  it('by the option stands in front of what main.ts adds', async () => {
    const client = await start({ requestSession: true }, (nest) => nest.use(ofMiddleware));
    expect((await client.get('/seen')).body).toMatchObject({ by: 'middleware' });
    proxy.reset();
    expect((await client.get('/guarded')).body).toEqual({ by: 'middleware', same: true });
    expect(proxy.sessionStatements).toHaveLength(1);
  });

  it('by one line in main.ts stands where the line is', async () => {
    const client = await start({}, (nest) => {
      nest.use(requestSession(nest));
      nest.use(ofMiddleware);
    });
    expect((await client.get('/seen')).body).toMatchObject({ by: 'middleware' });
    expect((await client.get('/guarded')).body).toEqual({ by: 'middleware', same: true });
  });

  it('by both opens the session once', async () => {
    const client = await start({ requestSession: true, guardAll: true }, (nest) => {
      nest.use(requestSession(nest));
      nest.use(ofMiddleware);
    });
    await client.get('/seen');
    proxy.reset();
    expect((await client.get('/guarded')).body).toEqual({ by: 'middleware', same: true });
    expect(proxy.sessionStatements).toHaveLength(1);
  });

  it('works in a testing module too', async () => {
    const nest = await testingApplication({ requestSession: true });
    try {
      nest.use(ofMiddleware);
      await nest.listen(0, '127.0.0.1');
      const client = new Client(`http://127.0.0.1:${(nest.getHttpServer().address() as AddressInfo).port}`);
      expect((await client.get('/seen')).body).toMatchObject({ by: 'middleware' });
    } finally {
      await nest.close();
    }
  });

  it('leaves what another middleware keeps there alone, where nobody asked for it', async () => {
    const other: Middleware = (request, _response, next) => {
      expect(request.session).toBeUndefined();
      request.session = { by: 'another' };
      next();
    };
    // Fastify's request is not the one that middleware gets, so there it has none.
    const client = await start({ guardAll: true }, (nest) => nest.use(other));
    const session = platform === 'express' ? { by: 'another' } : null;
    expect((await client.get('/raw')).body).toEqual({ session });
  });

  it('is refused with the line to add, where req.session is read before it', async () => {
    let caught: { code?: string; message?: string } = {};
    const client = await start({}, (nest) => {
      const tooEarly: Middleware = (request, _response, next) => {
        try {
          expect(request.session).toBeUndefined();
        } catch (error) {
          caught = error as typeof caught;
        }
        next();
      };
      nest.use(tooEarly);
      nest.use(requestSession(nest));
    });
    expect((await client.get('/seen')).status).toBe(200);
    // What middleware on Fastify gets is Node's own request, which has the property from the line on.
    if (platform === 'fastify') return;
    expect(caught.code).toBe('SESSION_NOT_OPEN');
    expect(caught.message).toContain('app.use(requestSession(app))');
  });

  it('[line 9] answers 503 at the first look where the database is away, and signs nobody out', async () => {
    const visitor = await start({ requestSession: true, deadline: '500ms' }, (nest) => nest.use(ofMiddlewareWhenAsked));
    await visitor.get('/seen?set');
    const { cookie } = visitor;
    expect(cookie).not.toBe('');
    proxy.mode = 'refuse';
    try {
      const reply = await visitor.get<{ code: string }>('/seen');
      expect([reply.status, reply.body.code]).toEqual([503, 'SESSION_UNAVAILABLE']);
      expect(reply.headers.get('retry-after')).not.toBeNull();
      expect(reply.setCookies).toEqual([]);
      expect((await visitor.get('/guarded')).status).toBe(503);
    } finally {
      proxy.mode = 'pass';
    }
    expect(visitor.cookie).toBe(cookie);
    expect((await visitor.get('/seen')).body).toMatchObject({ by: 'asked' });
  });

  async function testingApplication(session: SessionModuleOptions): Promise<INestApplication> {
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: database.url, autoLoadEntities: true, retryAttempts: 0 }),
        SessionModule.forRoot({ cleanup: false, ...session }),
      ],
      controllers: [OpeningController],
    }).compile();
    const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
    return module.createNestApplication(adapter, { logger: false });
  }
});

const ofMiddlewareWhenAsked: Middleware = (request, _response, next) => {
  if (request.url!.endsWith('?set')) request.session.by = 'asked';
  next();
};
