import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '../support/client.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';

/** Milliseconds after which no request may be answered from what was before: as announced, and by time alone. */
const HEARD_WITHIN = 200;
const MAX_AGE = 2_000;

const VISITORS = 24;
/** The same cookie on this many connections at once. */
const READERS = 2;
/** Milliseconds that reading goes on after the last session has ended. */
const AFTERMATH = 600;

/** A request that was answered as if the session were alive. */
interface Served {
  readonly visitor: number;
  /** When it was sent. */
  readonly at: number;
}

/** Two processes of an application; the database is behind the proxy for the second. */
class TwoProcesses {
  database!: TestDatabase;
  proxy!: PostgresProxy;
  #processes: ChildProcess[] = [];
  #urls: string[] = [];

  async start(): Promise<void> {
    this.database = await createDatabase();
    await migrate(this.database.url);
    this.proxy = await startPostgresProxy(this.database.url);
    const main = new URL('node.ts', import.meta.url).pathname;
    for (const url of [this.database.url, this.proxy.url]) {
      this.#processes.push(fork(main, [url], { execArgv: ['--import', 'tsx'] }));
    }
    this.#urls = await Promise.all(
      this.#processes.map(async (process) => ((await once(process, 'message')) as [{ url: string }])[0].url),
    );
  }

  async stop(): Promise<void> {
    for (const process of this.#processes) {
      const exited = once(process, 'exit');
      process.disconnect();
      await exited;
    }
    await this.proxy?.close();
    await this.database?.drop();
  }

  /** Stops a process for so many milliseconds. Does not wait for it. */
  pause(process: 0 | 1, milliseconds: number): void {
    this.#processes[process]!.kill('SIGSTOP');
    setTimeout(() => this.#processes[process]!.kill('SIGCONT'), milliseconds);
  }

  at(client: Client, process: 0 | 1): Client {
    return client.at(this.#urls[process]!);
  }

  async visitor(): Promise<Client> {
    const client = new Client(this.#urls[0]!);
    expect((await client.post('/arrive')).status).toBe(200);
    return client;
  }

  /**
   * Ends sessions by the first process, or past it, while the second reads them without a pause, and the first writes
   * others.
   *
   * @returns by how many milliseconds a read came after the end and was answered all the same: the latest of all.
   */
  async race(
    end: (client: Client) => Promise<void>,
    meanwhile?: () => unknown,
    aftermath = AFTERMATH,
  ): Promise<number> {
    const visitors = await Promise.all(Array.from({ length: VISITORS }, () => this.visitor()));
    const served: Served[] = [];
    let isOver = false;
    const readers = visitors.flatMap((client, visitor) =>
      Array.from({ length: READERS }, async () => {
        const reader = this.at(client, 1);
        while (!isOver) {
          const at = performance.now();
          const { status, body } = await reader.get<{ visitor: string | null }>('/');
          expect(status).toBe(200);
          if (body.visitor !== null) served.push({ visitor, at });
        }
      }),
    );
    const writers = Array.from({ length: 4 }, async () => {
      const writer = await this.visitor();
      while (!isOver) expect((await writer.post('/write')).status).toBe(200);
    });
    await delay(500);
    const ended: number[] = [];
    for (const [visitor, client] of visitors.entries()) {
      if (visitor === VISITORS / 3) await meanwhile?.();
      await end(client);
      ended[visitor] = performance.now();
      await delay(Math.random() * 60);
    }
    await delay(aftermath);
    isOver = true;
    await Promise.all([...readers, ...writers]);
    // The instrument: everybody was served while it lived.
    expect(new Set(served.map(({ visitor }) => visitor)).size).toBe(VISITORS);
    return Math.max(...served.map(({ visitor, at }) => at - ended[visitor]!));
  }
}

const post = (path: string) => async (client: Client) => {
  expect((await client.post(path)).status).toBe(200);
};

describe('[cache] two processes', () => {
  const two = new TwoProcesses();
  jest.setTimeout(60_000);
  beforeAll(() => two.start(), 60_000);
  afterEach(() => {
    two.proxy.mute = undefined;
  });
  afterAll(() => two.stop());

  it.each(['/destroy', '/regenerate', '/login'])(
    'after %s on one, no request on the other is served later than 200 ms',
    async (path) => {
      const latest = await two.race(post(path));
      expect(latest).toBeLessThan(HEARD_WITHIN);
    },
  );

  it('nor while the server ends the connections that listen', async () => {
    const latest = await two.race(post('/destroy'), () =>
      two.database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'nestjs-typeorm-session cache' AND datname = current_database()`,
      ),
    );
    expect(latest).toBeLessThan(HEARD_WITHIN);
  });

  it('nor while the connection that listens goes silent', async () => {
    let muted = 0;
    const latest = await two.race(post('/destroy'), () => {
      two.proxy.mute = (sql) => sql === 'SELECT 1' && ++muted === 1;
    });
    expect(muted).toBeGreaterThan(0);
    expect(latest).toBeLessThan(HEARD_WITHIN);
  });

  it('nor while the one that reads stands still, and has everything to catch up with', async () => {
    const latest = await two.race(post('/destroy'), () => two.pause(1, 700));
    expect(latest).toBeLessThan(HEARD_WITHIN);
  });

  it('and what somebody deletes by hand is not served later than maxAge', async () => {
    const byHand = async (client: Client) => {
      const { body } = await client.get<{ visitor: string }>('/');
      await two.database.query('DELETE FROM sessions WHERE id = $1', [body.visitor]);
    };
    const latest = await two.race(byHand, undefined, MAX_AGE + AFTERMATH);
    expect(latest).toBeGreaterThan(HEARD_WITHIN);
    expect(latest).toBeLessThan(MAX_AGE);
  });
});
