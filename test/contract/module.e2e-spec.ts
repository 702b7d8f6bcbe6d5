import { IncomingMessage } from 'node:http';
import {
  All,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Post,
  UseGuards,
  type CanActivate,
  type DynamicModule,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { APP_GUARD, HttpAdapterHost } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CurrentSession,
  openSession,
  PostgresSessionColumns,
  RequireSession,
  Session,
  SessionEntity,
  SessionGuard,
  SessionModule,
  SessionService,
  SkipSession,
  type SessionOptions,
  type SessionOptionsFactory,
} from 'nestjs-typeorm-session';
import { Column, DataSource, Entity } from 'typeorm';
import { PLATFORMS, startApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';

@Controller('doors')
class Doors {
  @Get('decorator')
  decorator(@Session() session: Session) {
    session.set('by', 'decorator');
    return { id: session.id };
  }

  @Get('key')
  key(@Session('by') by: string = 'nobody') {
    return { by };
  }
}

@Controller('service')
@UseGuards(SessionGuard)
class ServiceDoor {
  constructor(private readonly session: SessionService) {}

  @Get('set')
  set() {
    this.session.set('by', 'service');
    return { id: this.session.id };
  }
}

/** Counts how often it is built: a request-scoped consumer is built for every request. */
@Injectable()
class Singleton {
  static built = 0;
  constructor(private readonly session: CurrentSession) {
    Singleton.built += 1;
  }
  async remember(by: string) {
    // A later turn of the event loop is still the same request.
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.session.set('by', by);
    return { id: this.session.id };
  }
}

@Controller('current')
class CurrentDoor {
  constructor(@Inject(Singleton) private readonly singleton: Singleton) {}

  @Post('set')
  set() {
    return this.singleton.remember('current');
  }

  @Get('all-doors')
  allDoors(@Session() session: Session) {
    return { same: session.id };
  }
}

describe.each(PLATFORMS)('the module on %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp | undefined;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });
  afterAll(() => database?.drop());

  const start = async (options: Omit<TestAppOptions, 'platform' | 'databaseUrl'> & { databaseUrl?: string }) => {
    app = await startApp({ platform, databaseUrl: database.url, controllers: [Doors], ...options });
    return app;
  };
  const works = async (path = '/doors/decorator') => {
    const client = app!.client();
    const reply = await client.get<{ id: string }>(path);
    expect(reply.status).toBe(200);
    expect(reply.setCookies).toHaveLength(1);
    return { client, id: reply.body.id };
  };

  describe('options', () => {
    it('[answer: static options] come from a factory, with guardAll beside it', async () => {
      const sessionModule = SessionModule.forRootAsync({
        guardAll: true,
        inject: ['COOKIE_NAME'],
        imports: [
          {
            module: class Config {},
            providers: [{ provide: 'COOKIE_NAME', useValue: 'basket' }],
            exports: ['COOKIE_NAME'],
          },
        ],
        useFactory: async (name: string) => ({ cleanup: false, cookie: { name } }),
      });
      await start({ sessionModule });
      expect((await works()).client.cookie).toMatch(/^basket=/);
    });

    it('come from a class, made for it or existing', async () => {
      @Injectable()
      class Options implements SessionOptionsFactory {
        createSessionOptions() {
          return { cleanup: false as const, cookie: { name: 'made' } };
        }
      }
      await start({ sessionModule: SessionModule.forRootAsync({ guardAll: true, useClass: Options }) });
      expect((await works()).client.cookie).toMatch(/^made=/);
      await app!.close();
      @Module({ providers: [Options], exports: [Options] })
      class OptionsModule {}
      const imports = [OptionsModule];
      await start({ sessionModule: SessionModule.forRootAsync({ guardAll: true, imports, useExisting: Options }) });
      expect((await works()).client.cookie).toMatch(/^made=/);
    });

    it('[answer: static options] stop the boot with a sentence when they come from the factory', async () => {
      const useFactory = () => ({ guardAll: true }) as SessionOptions;
      await expect(start({ sessionModule: SessionModule.forRootAsync({ useFactory }) })).rejects.toThrow(
        /guardAll must stand beside useFactory/,
      );
    });

    it('stop the boot with a sentence when they are wrong', () => {
      expect(() => SessionModule.forRoot({ idleTimeout: '1 fortnight' })).toThrow(/idleTimeout/);
      expect(() => SessionModule.forRoot({ sameSIte: 'lax' } as object)).toThrow(/sameSIte/);
      expect(() => SessionModule.forRootAsync({})).toThrow(/one of useFactory, useClass and useExisting/);
    });
  });

  describe('the entity', () => {
    it('is found by autoLoadEntities, or listed', async () => {
      await start({ typeorm: { autoLoadEntities: false, entities: [SessionEntity] } });
      await works();
    });

    it('is missed with a sentence that says what to add', async () => {
      await expect(start({ typeorm: { autoLoadEntities: false } })).rejects.toThrow(/autoLoadEntities: true.*entities/);
    });

    it('[answer: entity of its own] is one of the application, with columns, schema, prefix and naming of its own', async () => {
      @Entity({ name: 'visits', schema: 'shop' })
      class Visit extends PostgresSessionColumns {
        @Column('varchar', { nullable: true })
        tenant!: string | null;
      }
      await database.query('CREATE SCHEMA IF NOT EXISTS shop');
      // Only the test asks for synchronize, as an application may; the module never does.
      await start({
        session: { guardAll: true, entity: Visit, cleanup: false },
        typeorm: { synchronize: true, entityPrefix: `${platform}_` },
      });
      const { client, id } = await works();
      expect((await client.get('/doors/key')).body).toEqual({ by: 'decorator' });
      const rows = await database.query(`SELECT id, tenant, data FROM shop.${platform}_visits`);
      expect(rows).toEqual([{ id, tenant: null, data: { by: 'decorator' } }]);
      const own = await app!.app.get(DataSource).getRepository(Visit).findOneByOrFail({ id });
      expect(own).toMatchObject({ idleTimeout: 86_400_000, persistent: true, version: 1 });
    });

    it('[answer: entity of its own] matches the migration that ships: migration:generate finds no change', async () => {
      await start({ typeorm: { autoLoadEntities: false, entities: [SessionEntity] } });
      const { upQueries } = await app!.app.get(DataSource).driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    });

    it('lives in the data source that is named', async () => {
      const other = await createDatabase();
      await migrate(other.url);
      const imports = [
        TypeOrmModule.forRoot({ name: 'sessions', type: 'postgres', url: other.url, autoLoadEntities: true }),
      ];
      await start({ imports, session: { guardAll: true, dataSource: 'sessions', cleanup: false } });
      const { id } = await works();
      expect(await other.query('SELECT id FROM sessions')).toEqual([{ id }]);
      await app!.close();
      app = undefined;
      await other.drop();
    });

    it('has a table, or the boot stops with a sentence that names it', async () => {
      const empty = await createDatabase();
      await expect(start({ databaseUrl: empty.url })).rejects.toThrow(/"sessions" does not exist.*migration/);
      await empty.drop();
    });

    it('has all its columns, or the boot stops with a sentence', async () => {
      const old = await createDatabase();
      await migrate(old.url);
      await old.query('ALTER TABLE sessions DROP COLUMN last_write');
      await expect(start({ databaseUrl: old.url })).rejects.toThrow(/lacks a column/);
      await old.drop();
    });
  });

  it('is not brought down by a listener that throws', async () => {
    const onEvent = () => {
      throw new Error('the monitoring is down');
    };
    await start({ session: { guardAll: true, cleanup: false, onEvent } });
    const { client } = await works();
    await database.query(`UPDATE sessions SET data = '[]'`);
    expect(await client.get('/doors/key')).toMatchObject({ status: 200, body: { by: 'nobody' } });
    await database.query('DELETE FROM sessions');
  });

  it('[answer: one module] stops the boot when it is imported twice', async () => {
    const imports = [SessionModule.forRoot({ cleanup: false })];
    await expect(start({ imports })).rejects.toThrow(/more than once/);
  });

  it('[answer: always global] gives feature modules the guard without an import', async () => {
    @Module({ controllers: [ServiceDoor] })
    class Feature {}
    await start({ imports: [Feature], session: { guardAll: false, cleanup: false } });
    await works('/service/set');
  });

  describe('doors', () => {
    it('hand out the same session', async () => {
      Singleton.built = 0;
      const controllers = [Doors, ServiceDoor, CurrentDoor];
      const session = { guardAll: true, currentSession: true, cleanup: false as const };
      await start({ controllers, providers: [Singleton], session });
      const { client, id } = await works('/service/set');
      expect((await client.get('/doors/key')).body).toEqual({ by: 'service' });
      expect((await client.post('/current/set', { a: 'body to be parsed' })).body).toEqual({ id });
      expect((await client.get('/doors/key')).body).toEqual({ by: 'current' });
      expect((await client.get('/current/all-doors')).body).toEqual({ same: id });
      expect(Singleton.built).toBe(1);
    });

    it('keep concurrent requests apart', async () => {
      const session = { guardAll: true, currentSession: true, cleanup: false as const };
      await start({ controllers: [Doors, CurrentDoor], providers: [Singleton], session });
      const ids = await Promise.all(
        Array.from({ length: 20 }, async () => (await app!.client().post<{ id: string }>('/current/set')).body.id),
      );
      expect(new Set(ids).size).toBe(20);
    });

    it('[answer: errors are http exceptions] say what to add where no guard has run', async () => {
      await start({
        controllers: [Doors, CurrentDoor],
        providers: [Singleton],
        session: { guardAll: false, cleanup: false, currentSession: true },
      });
      for (const [method, path] of [
        ['GET', '/doors/decorator'],
        ['GET', '/doors/key'],
        ['POST', '/current/set'],
      ] as const) {
        const reply = await app!.client().request<{ code: string; message: string }>(method, path);
        expect(reply).toMatchObject({ status: 500, body: { code: 'SESSION_NOT_OPEN' } });
        expect(reply.body.message).toContain('UseGuards(SessionGuard)');
      }
    });

    it('say that CurrentSession has to be switched on', async () => {
      await start({ controllers: [CurrentDoor], providers: [Singleton] });
      const reply = await app!.client().post<{ message: string }>('/current/set');
      expect(reply.status).toBe(500);
      expect(reply.body.message).toContain('currentSession: true');
    });
  });

  describe('guards', () => {
    @Controller()
    class Routes {
      @Get('open')
      open(@Session('n') n: number = 0) {
        return { n };
      }
      @Get('members')
      @RequireSession({ user: true })
      members(@Session() session: Session) {
        return { userId: session.userId };
      }
      @Get('visitors')
      @RequireSession()
      visitors() {
        return 'in';
      }
      @Post('enter')
      async enter(@Session() session: Session) {
        session.set('n', 1);
        await session.save();
      }
      @Post('login')
      async login(@Session() session: Session) {
        await session.login('ann');
      }
      @All('any')
      any(@Session() session: Session) {
        return { isNew: session.isNew };
      }
      @Get('skipped')
      @SkipSession()
      skipped() {
        return 'no session here';
      }
    }

    it('require a session, or one of somebody who signed in: 401 with a code', async () => {
      await start({ controllers: [Routes] });
      const client = app!.client();
      const refused = { status: 401, body: { statusCode: 401, code: 'SESSION_REQUIRED' } };
      expect(await client.get('/visitors')).toMatchObject(refused);
      await client.post('/enter');
      expect(await client.get('/visitors')).toMatchObject({ status: 200, text: 'in' });
      expect(await client.get('/members')).toMatchObject(refused);
      await client.post('/login');
      expect(await client.get('/members')).toMatchObject({ status: 200, body: { userId: 'ann' } });
      expect(await client.get('/skipped')).toMatchObject({ status: 200, text: 'no session here' });
    });

    it('[answer: guard before ours] may open the session themselves', async () => {
      @Injectable()
      class Early implements CanActivate {
        async canActivate(context: ExecutionContext) {
          const session = await openSession<{ n: number }>(context);
          session.set('n', session.get('n', 0) + 1);
          return true;
        }
      }
      await start({ controllers: [Routes], providers: [{ provide: APP_GUARD, useClass: Early }] });
      const client = app!.client();
      expect((await client.get('/open')).body).toEqual({ n: 1 });
      expect((await client.get('/open')).body).toEqual({ n: 2 });
    });

    it('[answer: contexts] refuse contexts other than HTTP with a sentence', async () => {
      await start({ controllers: [Routes] });
      const guard = app!.app.get(SessionGuard);
      const context = { getType: () => 'ws', getHandler: () => undefined, getClass: () => undefined };
      expect(() => guard.canActivate(context as unknown as ExecutionContext)).toThrow(/serves HTTP.*"ws"/);
    });

    it('[answer: contexts] open nothing for a preflight', async () => {
      await start({ controllers: [Routes] });
      const client = app!.client();
      await client.post('/enter');
      expect(await client.get('/any')).toMatchObject({ status: 200 });
      expect(await client.request('OPTIONS', '/any')).toMatchObject({
        status: 500,
        body: { code: 'SESSION_NOT_OPEN' },
      });
    });
  });

  describe('the cookie', () => {
    it('[answer: secure] is __Host- and Secure in production, and always where asked', async () => {
      await start({
        session: { guardAll: true, cleanup: false, cookie: { secure: true, partitioned: true, sameSite: 'none' } },
      });
      const reply = await app!.client().get('/doors/decorator');
      expect(reply.setCookies[0]).toMatch(
        /^__Host-sid=[\w-]{43}; Path=\/; Max-Age=1209[56]\d\d; HttpOnly; Secure; SameSite=None; Partitioned$/,
      );
    });

    it('[line 8] spares the database forged cookies where secrets are set, and rotates them', async () => {
      const [old, young] = ['o'.repeat(16) + 'ld secret, long enough', 'y'.repeat(16) + 'oung secret, long enough'];
      const options = (secrets: string[]) => ({ guardAll: true, cleanup: false as const, secrets });
      await start({ session: options([old]) });
      const { client } = await works();
      const { cookie } = client;
      await app!.close();
      await start({ session: options([young, old]) });
      expect((await client.at(app!.url).get('/doors/key')).body).toEqual({ by: 'decorator' });
      await app!.close();
      await start({ session: options([young]) });
      const stranger = app!.client();
      stranger.cookie = cookie;
      expect((await stranger.get('/doors/key')).body).toEqual({ by: 'nobody' });
    });
  });

  it('stops neither listening nor closing where there is no HTTP', async () => {
    const { NestFactory } = await import('@nestjs/core');
    const module: DynamicModule = {
      module: class Command {},
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: database.url, autoLoadEntities: true }),
        SessionModule.forRoot({ currentSession: true }),
      ],
    };
    const context = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
    expect(context.get(SessionModule, { strict: false })).toBeInstanceOf(SessionModule);
    await context.close();
  });

  it('serves two applications of one process', async () => {
    const first = await start({});
    const second = await startApp({
      platform,
      databaseUrl: database.url,
      controllers: [Doors],
      session: { guardAll: true, cleanup: false, cookie: { name: 'other' } },
    });
    expect((await first.client().get('/doors/decorator')).setCookies[0]).toMatch(/^sid=/);
    expect((await second.client().get('/doors/decorator')).setCookies[0]).toMatch(/^other=/);
    expect((second.app as INestApplication).get(HttpAdapterHost).httpAdapter).toBeDefined();
    await second.close();
  });

  it.each([undefined, true, false])(
    '[express objects] its server makes what Express needs by itself, with expressPrototypes: %s',
    async (expressPrototypes) => {
      const { app, client } = await start({ session: { guardAll: true, cleanup: false, expressPrototypes } });
      const { request: ofExpress } = app.getHttpAdapter().getInstance() as { request?: object };
      let prototype: unknown;
      app.getHttpServer().prependListener('request', (request: object) => {
        prototype = Object.getPrototypeOf(request);
      });
      expect((await client().get('/doors/decorator')).status).toBe(200);
      const isNeeded = platform === 'express' && Number.parseInt(process.versions.v8, 10) < 13;
      const wanted = isNeeded && expressPrototypes !== false ? ofExpress : IncomingMessage.prototype;
      expect(prototype === wanted).toBe(true);
    },
  );
});
