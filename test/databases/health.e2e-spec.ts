import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Controller, Get, Inject } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CreateSessions1764000000000,
  MysqlSessionEntity,
  Session,
  SessionEntity,
  SessionHealthIndicator,
  SkipSession,
} from 'nestjs-typeorm-session';
import { MemorySessionStore } from 'nestjs-typeorm-session/testing';
import type { Pool } from 'mysql2';
import { DataSource } from 'typeorm';
import { PLATFORMS, startApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { describeDatabases } from '../support/describe-databases.js';
import { eventually } from '../support/eventually.js';
import { createMysqlDatabase, describeOn, type MysqlDatabase } from '../support/mariadb-database.js';
import { OwnPostgres } from '../support/own-postgres.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';
import { createSqliteFile, describeOnBetterSqlite3, openStore } from '../support/sqlite-database.js';

const DEADLINE = 600;
/** What an earlier application has loaded by itself would be here too. */
const POSTGRES = { autoLoadEntities: false, entities: [SessionEntity] };

@Controller()
class ReadyController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(SessionHealthIndicator) private readonly sessions: SessionHealthIndicator,
  ) {}

  @Get('ready')
  @SkipSession()
  @HealthCheck()
  ready() {
    return this.health.check([() => this.sessions.isHealthy('visitors')]);
  }

  @Get('visit')
  visit(@Session() session: Session) {
    session.set('seen', true);
  }
}

const start = (options: Omit<TestAppOptions, 'controllers' | 'imports'>) =>
  startApp({
    controllers: [ReadyController],
    imports: [TerminusModule.forRoot({ logger: false })],
    ...options,
    session: { guardAll: true, cleanup: false, deadline: DEADLINE, ...options.session },
  });

/** What a load balancer is told. */
const ready = async (app: TestApp) => {
  const { status, body } = await app.client().get<{ details: { visitors: unknown } }>('/ready');
  return [status, body.details.visitors];
};
const UP = [200, { status: 'up' }];
const down = (reason: string) => [503, { status: 'down', reason }];

describeDatabases('[health] sessions', (kind, platform) => {
  it('are healthy, and asking leaves nothing behind', async () => {
    const database = await kind.create();
    const app = await start({
      platform,
      typeorm: {
        ...database.typeorm,
        autoLoadEntities: false,
        entities: [kind.entity],
        migrations: [CreateSessions1764000000000],
        migrationsRun: true,
      },
      session: { entity: kind.entity, deadline: '15s' },
    });
    expect(await ready(app)).toEqual(UP);
    expect(await app.app.get(DataSource).getRepository(kind.entity).count()).toBe(0);
    await app.close();
    await database.drop();
  });
});

describe.each(PLATFORMS)('[health] sessions on PostgreSQL on %s', (platform) => {
  let database: TestDatabase;
  let name: string;
  let proxy: PostgresProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    name = new URL(database.url).pathname.slice(1);
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    app = await start({ platform, databaseUrl: proxy.url, typeorm: { ...POSTGRES, connectTimeoutMS: 500 } });
  });
  afterEach(async () => {
    proxy.mode = 'pass';
    await database.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    await eventually(async () => (await ready(app))[0] === 200);
  });
  afterAll(async () => {
    await app?.close();
    await proxy?.close();
    await database?.drop();
  });

  const closeAll = () =>
    database.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );

  it('are not where the database cannot be reached, and the answer comes in time', async () => {
    for (const mode of ['refuse', 'silence'] as const) {
      proxy.mode = mode;
      const since = performance.now();
      const [status, details] = await ready(app);
      expect([status, details]).toEqual([503, { status: 'down', reason: expect.any(String) }]);
      expect(performance.now() - since).toBeLessThan(DEADLINE + 2_000);
    }
  });

  it('are not where the server only reads, though SELECT 1 is answered', async () => {
    await database.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    await closeAll();
    await eventually(async () => (await ready(app))[0] === 503);
    expect(await ready(app)).toEqual(down('read-only'));
    await database.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    await closeAll();
    await eventually(async () => (await ready(app))[0] === 200);
  });

  it('are not where the table is gone', async () => {
    await database.query('ALTER TABLE sessions RENAME TO hidden');
    try {
      expect(await ready(app)).toEqual(down('42P01'));
    } finally {
      await database.query('ALTER TABLE hidden RENAME TO sessions');
    }
  });
});

describe.each(PLATFORMS)('[health] sessions on a standby on %s', (platform) => {
  it('are not healthy before it is promoted, and are afterwards', async () => {
    const server = await OwnPostgres.start();
    let app: TestApp | undefined;
    try {
      await migrate(server.url);
      app = await start({ platform, databaseUrl: server.url, typeorm: { ...POSTGRES, connectTimeoutMS: 2_000 } });
      expect(await ready(app)).toEqual(UP);
      await server.stop();
      // https://www.postgresql.org/docs/current/warm-standby.html#STANDBY-SERVER-OPERATION
      writeFileSync(join(server.dataFolder, 'standby.signal'), '');
      await server.startAgain();
      await eventually(async () => JSON.stringify(await ready(app!)).includes('standby'), 15_000);
      expect(await ready(app)).toEqual(down('standby'));
      // Sessions say the same.
      expect((await app.client().get('/visit')).status).toBe(503);
      const admin = new DataSource({ type: 'postgres', url: server.url });
      await admin.initialize();
      await admin.query('SELECT pg_promote()');
      await admin.destroy();
      await eventually(async () => (await ready(app!))[0] === 200, 15_000);
      expect((await app.client().get('/visit')).status).toBe(200);
    } finally {
      await app?.close();
      await server.remove();
    }
  }, 60_000);
});

describeOn('mariadb')('[health] sessions on MariaDB', () => {
  let database: MysqlDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createMysqlDatabase('mariadb');
    app = await start({
      platform: 'express',
      typeorm: {
        ...database.typeorm,
        autoLoadEntities: false,
        entities: [MysqlSessionEntity],
        migrations: [CreateSessions1764000000000],
        migrationsRun: true,
      },
      session: { entity: MysqlSessionEntity, deadline: '5s' },
    });
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  it('are not healthy on connections that only read', async () => {
    expect(await ready(app)).toEqual(UP);
    const pool = (app.app.get(DataSource).driver as unknown as { pool: Pool }).pool;
    pool.on('connection', (connection) => connection.query('SET SESSION TRANSACTION READ ONLY'));
    await new Promise((resolve) => pool.query('SET SESSION TRANSACTION READ ONLY', resolve));
    expect(await ready(app)).toEqual(down('tx_read_only'));
  });
});

describeOnBetterSqlite3('[health] sessions in an SQLite file', () => {
  it('are not healthy where the file cannot be written', async () => {
    const database = await createSqliteFile();
    const writable = await openStore(database.typeorm);
    expect(await writable.store.health!()).toEqual({ status: 'up' });
    await writable.close();
    const readOnly = await openStore({ ...database.typeorm, readonly: true }, { migrate: false });
    expect(await readOnly.store.health!()).toEqual({ status: 'down', reason: 'SQLITE_READONLY' });
    await readOnly.close();
    await database.drop();
  });
});

describe('[health] sessions in a store of the application', () => {
  it('are asked for by a look-up, where the store has nothing to say', async () => {
    const store = new MemorySessionStore();
    const indicator = new SessionHealthIndicator(store);
    expect(await indicator.isHealthy()).toEqual({ sessions: { status: 'up' } });
  });
});
