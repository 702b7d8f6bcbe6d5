import { Controller, Get, Injectable } from '@nestjs/common';
import { Cron, CronExpression, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SessionCleanupService } from 'nestjs-typeorm-session';
import pg from 'pg';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';

@Controller()
class VisitController {
  @Get('visit')
  visit(@Session() session: Session) {
    session.set('seen', true);
  }
}

@Injectable()
class Ticker {
  ticks = 0;
  @Cron(CronExpression.EVERY_SECOND)
  tick() {
    this.ticks += 1;
  }
}

/** The clean-up as it is usually written: the control that shows the race is there. */
const NAIVE =
  'DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < now() ORDER BY expires_at LIMIT 1000)';

describe.each(PLATFORMS)('the clean-up on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp | undefined;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
  });
  beforeEach(async () => {
    await database.query('DELETE FROM sessions');
    proxy.reset();
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
    proxy.mode = 'pass';
  });
  afterAll(async () => {
    await proxy?.close();
    await database?.drop();
  });

  const start = async (session: object = {}, rest: object = {}) => {
    app = await startApp({
      platform,
      databaseUrl: proxy.url,
      controllers: [VisitController],
      session: { guardAll: true, cleanup: false, ...session },
      typeorm: { connectTimeoutMS: 500 },
      ...rest,
    });
    return app.app.get(SessionCleanupService);
  };
  const fill = (rows: number, expires: string) =>
    database.query(
      `INSERT INTO sessions (id, token_hash, data, version, created_at, touched_at, expires_at, absolute_expires_at, idle_timeout, persistent, last_write)
       SELECT gen_random_uuid(), sha256(gen_random_uuid()::text::bytea), '{}', 1, now(), now(), now() + $2::interval, now() + interval '1 day', 1000, true, gen_random_uuid()
       FROM generate_series(1, $1)`,
      [rows, expires],
    );
  const count = async () => Number((await database.query<{ n: string }>('SELECT count(*) AS n FROM sessions'))[0]!.n);

  it('deletes what has expired in bounded batches, and nothing else', async () => {
    const cleanup = await start({ cleanup: { batchSize: 100 } });
    await fill(250, '-1 second');
    await fill(7, '1 hour');
    proxy.reset();
    expect(await cleanup.run()).toEqual({ deleted: 250, done: true });
    // The second one may be larger, and is so where the machine is not too busy.
    expect([2, 3]).toContain(proxy.statements.filter((sql) => sql.includes('DELETE')).length);
    expect(await count()).toBe(7);
    expect(app!.events).toContainEqual(expect.objectContaining({ type: 'cleanup', deleted: 250 }));
  });

  it('runs by hand while the schedule is off', async () => {
    const cleanup = await start({ cleanup: false });
    await fill(3, '-1 second');
    expect(await cleanup.run()).toEqual({ deleted: 3, done: true });
  });

  /** A visitor's touch holds the row of an expired session while `sweep` runs, and then commits. */
  const survivesTouch = async (sweep: () => Promise<unknown>) => {
    await database.query('DELETE FROM sessions');
    await fill(1, '-1 second');
    const visitor = new pg.Client({ connectionString: database.url });
    await visitor.connect();
    await visitor.query('BEGIN');
    await visitor.query("UPDATE sessions SET expires_at = now() + interval '1 hour'");
    const swept = sweep();
    // Either it is done, having stepped around the row, or it waits for the lock.
    await Promise.race([swept, waitForLock()]);
    await visitor.query('COMMIT');
    await visitor.end();
    await swept;
    return (await count()) === 1;
  };
  const waitForLock = async () => {
    for (;;) {
      const waiting = await database.query(
        'SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())',
      );
      if (waiting.length > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('never deletes a session that was extended meanwhile: 20 of 20 survive, and none the usual statement', async () => {
    const cleanup = await start();
    let survived = 0;
    let survivedNaive = 0;
    for (let round = 0; round < 20; round++) {
      if (await survivesTouch(() => cleanup.run())) survived += 1;
      if (await survivesTouch(() => database.query(NAIVE))) survivedNaive += 1;
    }
    expect({ survived, survivedNaive }).toEqual({ survived: 20, survivedNaive: 0 });
  });

  it('never overlaps: a call while one runs joins it', async () => {
    // Neither limit is what this is about, and a busy machine reaches both.
    const patient = { typeorm: { connectTimeoutMS: 15_000 } };
    const cleanup = await start({ cleanup: { batchSize: 100 }, deadline: '15s' }, patient);
    await fill(55, '-1 second');
    proxy.reset();
    const results = await Promise.all([cleanup.run(), cleanup.run(), cleanup.run()]);
    expect(results).toEqual(Array(3).fill({ deleted: 55, done: true }));
    expect(proxy.statements.filter((sql) => sql.includes('DELETE'))).toHaveLength(1);
  });

  it('shares the work with another node: every row once, no deadlock', async () => {
    const cleanup = await start({ cleanup: { batchSize: 50 } });
    const other = await startApp({ platform, databaseUrl: database.url, session: { cleanup: { batchSize: 50 } } });
    await fill(1000, '-1 second');
    const results = await Promise.all([cleanup.run(), other.app.get(SessionCleanupService).run()]);
    expect(results.reduce((sum, { deleted }) => sum + deleted, 0)).toBe(1000);
    expect(await count()).toBe(0);
    await other.close();
  });

  it('reports a database that is away, and works again afterwards', async () => {
    const cleanup = await start();
    await fill(2, '-1 second');
    proxy.mode = 'refuse';
    await expect(cleanup.run()).rejects.toThrow(/session store: unavailable/);
    expect(app!.events).toContainEqual(expect.objectContaining({ type: 'store-failed', operation: 'cleanup' }));
    proxy.mode = 'pass';
    expect(await cleanup.run()).toEqual({ deleted: 2, done: true });
  });

  it('stops with the application, after the batch at hand', async () => {
    const cleanup = await start({ cleanup: { batchSize: 10 } });
    await fill(500, '-1 second');
    const running = cleanup.run();
    await app!.close();
    app = undefined;
    const { deleted, done } = await running;
    expect(done).toBe(false);
    expect(deleted % 10).toBe(0);
    expect(await count()).toBe(500 - deleted);
  });

  it('runs on its schedule, without the package @nestjs/schedule in the application', async () => {
    await start({ cleanup: { interval: '1s' } });
    await fill(5, '-1 second');
    await eventually(async () => (await count()) === 0);
  });

  it("[answer: schedule once] shows in the registry of the application's own scheduler, whose @Cron fires once a second", async () => {
    const ticker = new Ticker();
    await start(
      { cleanup: { interval: '10m' } },
      { imports: [ScheduleModule.forRoot()], providers: [{ provide: Ticker, useValue: ticker }] },
    );
    const registry = app!.app.get(SchedulerRegistry);
    expect(registry.getIntervals()).toEqual(['nestjs-typeorm-session:cleanup']);
    expect(registry.getCronJobs().size).toBe(1);
    await eventually(() => Promise.resolve(ticker.ticks > 0));
    const [before, since] = [ticker.ticks, performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    const seconds = Math.floor((performance.now() - since) / 1_000);
    expect(ticker.ticks - before).toBeLessThanOrEqual(seconds + 1);
    await app!.close();
    app = undefined;
    expect(registry.getIntervals()).toEqual([]);
  });
});
