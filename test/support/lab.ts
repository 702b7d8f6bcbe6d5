import { Controller, HttpCode, Param, Post, Redirect } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest } from '@jest/globals';
import { Session, type SessionModuleOptions } from 'nestjs-typeorm-session';
import { startApp, type Platform, type TestApp, type TestAppOptions } from './app.js';
import type { Client, Reply, RequestOptions } from './client.js';
import { createDatabase, migrate, type TestDatabase } from './database.js';
import { startPostgresProxy, type PostgresProxy } from './postgres-proxy.js';

/** What a handler does: a test says it where it needs it, and holds it up with a {@link Gate} where order matters. */
export type Step<R = unknown> = (session: Session) => R | Promise<R>;

/** The body of a step's response: what it returned, or the error that was answered instead. */
export interface Answer<R = unknown> {
  readonly value: R;
  readonly code?: string;
  readonly message?: string;
}

/** A session's row, as SQL shows it. */
export interface SessionRow {
  readonly id: string;
  readonly token_hash: Buffer;
  readonly data: Record<string, unknown>;
  readonly user_id: string | null;
  readonly version: number;
  readonly touched_at: Date;
  readonly expires_at: Date;
  readonly absolute_expires_at: Date;
  readonly idle_timeout: string;
  readonly persistent: boolean;
  readonly previous_token_until: Date | null;
}

const steps = new Map<string, Step>();

@Controller()
export class LabController {
  @Post('do/:step')
  @HttpCode(200)
  async do(@Session() session: Session, @Param('step') step: string) {
    return { value: await steps.get(step)!(session) };
  }

  @Post('redirect/:step')
  @Redirect('/elsewhere', 303)
  async redirect(@Session() session: Session, @Param('step') step: string) {
    await steps.get(step)!(session);
  }
}

/** Nodes of one application on one database, and requests whose handlers are written in the test. */
export class Nodes {
  nodes!: readonly TestApp[];

  /** A visitor at a node, with no cookie. */
  client(node = 0): Client {
    return this.nodes[node]!.client();
  }

  /** A visitor whose session holds these values. */
  async visitor(data: Record<string, unknown> = { visitor: true }): Promise<Client> {
    const client = this.client();
    await this.value(client, (session) => {
      for (const [key, value] of Object.entries(data)) session.set(key, value);
    });
    return client;
  }

  /** Another connection of the same visitor at a node: same cookie, a jar of its own. */
  at(client: Client, node: number): Client {
    return client.at(this.nodes[node % this.nodes.length]!.url);
  }

  /** One request whose handler is the step. */
  act<R>(client: Client, step: Step<R>, options?: RequestOptions & { door?: 'do' | 'redirect' }) {
    return client.post<Answer<R>>(this.pathOf(step, options?.door), undefined, options);
  }

  /** Where a request's handler is the step. */
  pathOf(step: Step, door: 'do' | 'redirect' = 'do'): string {
    const name = String(steps.size);
    steps.set(name, step);
    return `/${door}/${name}`;
  }

  /** What the step returned; the response has to be 200. */
  async value<R>(client: Client, step: Step<R>): Promise<R> {
    const reply = await this.act(client, step);
    expect(outcomeOf(reply)).toEqual([200, undefined]);
    return reply.body.value;
  }

  /** What a visitor's session holds, in a request of its own. */
  data(client: Client): Promise<Record<string, unknown>> {
    return this.value(client, (session) => Object.fromEntries(session.entries()) as Record<string, unknown>);
  }
}

/**
 * Two nodes on PostgreSQL behind a proxy that counts statements. The database is there from `beforeAll` on, and empty
 * before each test.
 */
export class Lab extends Nodes {
  database!: TestDatabase;
  proxy!: PostgresProxy;
  declare nodes: readonly [TestApp, TestApp];

  rows(): Promise<SessionRow[]> {
    return this.database.query<SessionRow & Record<string, unknown>>('SELECT * FROM sessions ORDER BY created_at');
  }

  /** The only row there is. */
  async row(): Promise<SessionRow> {
    const rows = await this.rows();
    expect(rows).toHaveLength(1);
    return rows[0]!;
  }

  /** Changes the only row there is, past the library. */
  async alter(assignments: string, parameters?: unknown[]): Promise<void> {
    await this.database.query(`UPDATE sessions SET ${assignments}`, parameters);
  }

  /** The verbs of the session statements that reached the server since the last call of {@link PostgresProxy.reset}. */
  get verbs(): string[] {
    // An UPDATE may begin with the SELECT that locks its row.
    return this.proxy.sessionStatements.map(
      (sql) => /^\w+/.exec(sql.replace(/^WITH .*FOR NO KEY UPDATE( SKIP LOCKED)?\) /, ''))![0],
    );
  }

  /** The verbs of what a step sends to the server. */
  async verbsOf(client: Client, step: Step): Promise<string[]> {
    this.proxy.reset();
    await this.act(client, step);
    return this.verbs;
  }
}

export interface LabOptions extends Pick<TestAppOptions, 'controllers' | 'imports' | 'providers' | 'prepare'> {
  readonly session?: SessionModuleOptions;
  /** Settings of the database, such as `default_transaction_isolation = 'repeatable read'`. */
  readonly settings?: readonly string[];
}

/** A {@link Lab} for the tests of a describe block. */
export function useLab(platform: Platform, options: LabOptions = {}): Lab {
  return useLabOf(new Lab(), platform, options);
}

/** The same, for a lab with more to it. */
export function useLabOf<L extends Lab>(lab: L, platform: Platform, labOptions: LabOptions): L {
  const { session, settings = [], controllers = [], ...rest } = labOptions;
  // Hundreds of requests at once are no measure of speed: on a busy machine neither limit may be part of a test.
  const options = { deadline: '15s', ...session };
  jest.setTimeout(20_000);

  beforeAll(async () => {
    lab.database = await createDatabase();
    const name = new URL(lab.database.url).pathname.slice(1);
    for (const setting of settings) await lab.database.query(`ALTER DATABASE ${name} SET ${setting}`);
    await migrate(lab.database.url);
    lab.proxy = await startPostgresProxy(lab.database.url);
    const start = () =>
      startApp({
        platform,
        databaseUrl: lab.proxy.url,
        controllers: [LabController, ...controllers],
        session: options,
        ...rest,
      });
    lab.nodes = [await start(), await start()];
  });

  beforeEach(async () => {
    await lab.database.query('DELETE FROM sessions');
    for (const node of lab.nodes) node.events.splice(0);
    lab.proxy.reset();
  });

  // Of every test, whatever else it is about.
  afterEach(async () => {
    lab.proxy.beforeStatement = undefined;
    expect(await lab.database.query('SELECT id FROM sessions WHERE expires_at > absolute_expires_at')).toEqual([]);
  });

  afterAll(async () => {
    for (const node of lab.nodes ?? []) await node.close();
    await lab.proxy?.close();
    await lab.database?.drop();
  });

  return lab;
}

/** Holds handlers up: `pass` from inside, `reached` and `open` from outside. */
export class Gate {
  /** Settles when as many handlers as expected have come. */
  readonly reached: Promise<void>;
  readonly #opened: Promise<void>;
  #arrive!: () => void;
  open!: () => void;
  #missing: number;

  constructor(handlers = 1) {
    this.#missing = handlers;
    this.reached = new Promise((resolve) => (this.#arrive = resolve));
    this.#opened = new Promise((resolve) => (this.open = resolve));
  }

  pass(): Promise<void> {
    this.#missing -= 1;
    if (this.#missing === 0) this.#arrive();
    return this.#opened;
  }
}

/** Lets handlers go on when all of them have come. */
export function barrier(handlers: number): () => Promise<void> {
  const gate = new Gate(handlers);
  void gate.reached.then(gate.open);
  return () => gate.pass();
}

/** Status and error code of a reply. */
export function outcomeOf(reply: Reply<{ code?: string } | undefined>): [status: number, code: string | undefined] {
  return [reply.status, reply.body?.code];
}

/** How often each outcome came. */
export function tally(replies: readonly Reply<Answer>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reply of replies) {
    const outcome = reply.body?.code ?? String(reply.status);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

/** The results of `count` calls that run at the same time. */
export function times<R>(count: number, call: (index: number) => Promise<R>): Promise<R[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => call(index)));
}

export const GONE = [401, 'SESSION_GONE'];
export const REPLACED = [409, 'SESSION_REPLACED'];
export const REFUSED_VALUE = [500, 'SESSION_VALUE'];
