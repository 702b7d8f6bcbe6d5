import { afterAll, afterEach, beforeAll, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { SessionEntity, type SessionStore } from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import type { Delta, NewSession, SessionRef } from '../../../libs/session/src/core/store.js';
import { createToken, hashToken } from '../../../libs/session/src/core/token.js';
import { createStore } from '../../../libs/session/src/storage/create-store.js';
import {
  statementFunctions,
  type StatementFunction,
} from '../../../libs/session/src/storage/dialects/postgres-functions.js';
import { sessionTable } from '../../../libs/session/src/storage/session-table.js';
import { createDatabase, migrate, type TestDatabase } from '../../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../../support/postgres-proxy.js';
import { NEVER, withoutTouch } from './without-touch.js';

const HOUR = 3_600_000;

/** Stores on PostgreSQL behind a proxy that counts statements. */
export class BatchLab {
  database!: TestDatabase;
  proxy!: PostgresProxy;
  store!: SessionStore;
  readonly dataSources: DataSource[] = [];
  /** The functions that were called, by what they do. */
  readonly called = new Set<string>();
  #functions: StatementFunction[] = [];

  /** @param hasFunctions the database has them, and the store calls them. */
  constructor(readonly hasFunctions: boolean) {}

  /** One more store, as another node has it. */
  async open(deadline: number): Promise<SessionStore> {
    const options = { entities: [SessionEntity], extra: { max: 10 } };
    const dataSource = new DataSource({ type: 'postgres', url: this.proxy.url, ...options });
    this.dataSources.push(await dataSource.initialize());
    const store = createStore(dataSource, SessionEntity, { deadline, maxBytes: 65_536 }, () => {});
    if (!this.hasFunctions) return store;
    this.#functions = statementFunctions(sessionTable(dataSource, SessionEntity, ''));
    // It looks for them.
    await store.check();
    return withoutTouch(store);
  }

  /** What a statement on the wire stands for. */
  meaningOf(text: string): string {
    const called = this.#functions.find(({ call }) => call === text);
    if (called) this.called.add(/session_([a-z_]+)_/.exec(called.signature)![1]!);
    return called?.sql ?? text;
  }

  async create(data: Record<string, unknown> = {}): Promise<SessionRef> {
    const session = newSession({ data: delta(data).set });
    await this.store.create(session);
    return { id: session.id, tokenHash: session.tokenHash };
  }

  /** Sessions whose data tells which is which. */
  createMany(count: number): Promise<SessionRef[]> {
    return Promise.all(Array.from({ length: count }, (_, n) => this.create({ n })));
  }

  /** What a session holds, or the status of its token. */
  async find(...tokenHashes: Buffer[]): Promise<unknown[]> {
    const found = await this.store.find(tokenHashes);
    return found.map((one) => (one.status === 'live' ? (JSON.parse(one.session.data) as unknown) : one.status));
  }

  async update(ref: SessionRef, values: Record<string, unknown>, store = this.store): Promise<string> {
    return (await store.update(ref, delta(values), NEVER)).status;
  }

  /** The statements since the last reset, by what they do. */
  get kinds(): string[] {
    return this.proxy.sessionStatements.map((sql) => {
      if (isShared(sql, 'INSERT')) return 'inserts';
      if (isShared(sql)) return sql.includes('"data" =') ? 'updates' : 'touches';
      return sql.includes('IS NOT DISTINCT FROM') ? 'look' : /^\w+/.exec(sql)![0];
    });
  }

  /** The statements that a piece of work sends. */
  async kindsOf(work: () => Promise<unknown>): Promise<string[]> {
    this.proxy.reset();
    await work();
    return this.kinds;
  }

  async rows(): Promise<{ id: string; data: Record<string, unknown>; version: number; touched_at: Date }[]> {
    return this.database.query('SELECT id, data, version, touched_at FROM sessions ORDER BY created_at');
  }

  async row({ id }: SessionRef) {
    return (await this.rows()).find((row) => row.id === id)!;
  }
}

/** Whether a statement writes to many sessions: it finds the values of each by its place in them. */
export function isShared(sql: string, verb: 'UPDATE' | 'INSERT' = 'UPDATE'): boolean {
  return sql.startsWith(verb) && sql.includes('array_position');
}

/** A session to be inserted, with a token of its own. */
export function newSession(parts: Partial<NewSession> = {}): NewSession {
  const ref = { id: randomUUID(), tokenHash: hashToken(createToken()) };
  const lifetime = { idleTimeout: HOUR, absoluteTimeout: 10 * HOUR, persistent: true };
  return { ...ref, ...lifetime, userId: undefined, data: {}, ...parts };
}

export function delta(values: Record<string, unknown>, unset: string[] = []): Delta {
  const set = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, JSON.stringify(value)]));
  return { set, unset };
}

export interface BatchLabOptions {
  /** Of the database, such as `default_transaction_isolation = 'repeatable read'`. */
  readonly settings?: readonly string[];
  /** Statements are kept as functions. */
  readonly functions?: boolean;
}

export function useBatchLab({ settings = [], functions = false }: BatchLabOptions = {}): BatchLab {
  const lab = new BatchLab(functions);
  jest.setTimeout(20_000);

  beforeAll(async () => {
    lab.database = await createDatabase();
    const name = new URL(lab.database.url).pathname.slice(1);
    for (const setting of settings) await lab.database.query(`ALTER DATABASE ${name} SET ${setting}`);
    await migrate(lab.database.url, { functions });
    lab.proxy = await startPostgresProxy(lab.database.url, (sql) => lab.meaningOf(sql));
    // No measure of speed on a busy machine.
    lab.store = await lab.open(15_000);
  });

  afterEach(async () => {
    lab.proxy.beforeStatement = undefined;
    lab.proxy.dropAnswerTo = undefined;
    await lab.database.query('DELETE FROM sessions');
  });

  afterAll(async () => {
    for (const dataSource of lab.dataSources) await dataSource.destroy();
    await lab.proxy?.close();
    await lab.database?.drop();
  });

  return lab;
}
