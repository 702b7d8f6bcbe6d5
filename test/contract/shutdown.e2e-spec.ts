import { Controller, Get, Inject, Injectable, Post } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SessionCleanupService } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Gate, times } from '../support/lab.js';
import { waitForWaiting, whileRowsAreLocked } from '../support/row-lock.js';

@Injectable()
class Held {
  gate = new Gate();
}

@Controller()
class ShutdownController {
  constructor(@Inject(Held) private readonly held: Held) {}

  @Get('peek')
  peek(@Session() session: Session) {
    return { n: session.get('n', 0) };
  }

  @Post('slow')
  async slow(@Session() session: Session) {
    await this.held.gate.pass();
    session.set('n', 1);
    return 'saved';
  }

  @Post('set')
  set(@Session() session: Session) {
    session.set('n', session.get('n', 0) + 1);
    return 'saved';
  }
}

describe.each(PLATFORMS)('[shutdown] a node on %s that is told to stop', (platform) => {
  let database: TestDatabase;
  let app: TestApp;
  let other: TestApp;
  let held: Held;

  const start = () => {
    held = new Held();
    const providers = [{ provide: Held, useValue: held }];
    const session = { guardAll: true, cleanup: { batchSize: 1 }, deadline: '15s' as const };
    return startApp({ platform, databaseUrl: database.url, controllers: [ShutdownController], providers, session });
  };

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    other = await start();
  });
  beforeEach(async () => {
    app = await start();
  });
  afterEach(() => app.close());
  afterAll(async () => {
    await other?.close();
    await database?.drop();
  });

  const visitor = async () => {
    const client = app.client();
    await client.post('/set');
    return client;
  };

  it('answers the requests that it has, and what they changed is there on another node', async () => {
    const client = await visitor();
    held.gate = new Gate(3);
    const replies = times(3, () => client.post('/slow'));
    await held.gate.reached;
    const closed = app.close();
    held.gate.open();
    expect((await replies).map(({ status, text }) => [status, text])).toEqual(Array(3).fill([201, 'saved']));
    await closed;
    expect((await client.at(other.url).get('/peek')).body).toEqual({ n: 1 });
  });

  it('finishes the commit that is under way', async () => {
    const client = await visitor();
    const [reply, closed] = await whileRowsAreLocked(database, async () => {
      const set = client.post('/set');
      await waitForWaiting(database, 1);
      return [set, app.close()] as const;
    });
    expect((await reply).status).toBe(201);
    // The client keeps its connection, and Fastify waits for that.
    app.app.getHttpServer().closeIdleConnections();
    await closed;
    expect((await client.at(other.url).get('/peek')).body).toEqual({ n: 2 });
  });

  it('stops its clean-up and gives back its connections, while another node goes on', async () => {
    await times(40, visitor);
    const connections = async () =>
      Number(
        (
          await database.query<{ n: string }>(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'",
          )
        )[0]!.n,
      );
    await database.query("UPDATE sessions SET expires_at = now() - interval '1 second'");
    const running = app.app.get(SessionCleanupService).run();
    await eventually(async () => Number((await database.query('SELECT id FROM sessions')).length) < 40);
    const before = await connections();
    await app.close();
    expect((await running).done).toBe(false);
    await eventually(async () => (await connections()) < before);
    expect((await other.app.get(SessionCleanupService).run()).done).toBe(true);
    expect(await database.query('SELECT id FROM sessions')).toEqual([]);
  });
});
