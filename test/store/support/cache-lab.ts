import { afterAll, afterEach, beforeAll, expect, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { SessionEntity, type SessionEvent, type SessionStore } from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import type { SessionRef } from '../../../libs/session/src/core/store.js';
import { createToken, hashToken } from '../../../libs/session/src/core/token.js';
import { channelOf } from '../../../libs/session/src/storage/cache/postgres-announcements.js';
import { createStore } from '../../../libs/session/src/storage/create-store.js';
import { createDatabase, migrate, type TestDatabase } from '../../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../../support/postgres-proxy.js';
import { delta } from './batch-lab.js';
import { NEVER } from './without-touch.js';

const HOUR = 3_600_000;

/** How the listening connection of a cache is called on the server. */
export const LISTENER = 'nestjs-typeorm-session cache';

/** One node: a store with a cache behind a proxy of its own, which counts its statements. */
export interface CacheNode {
  readonly store: SessionStore;
  readonly proxy: PostgresProxy;
  readonly dataSource: DataSource;
  readonly events: SessionEvent[];
  readonly warnings: string[];
  /** What a session holds, or the status of its token. */
  find(ref: SessionRef): Promise<unknown>;
  /** How many statements reached the server for so many finds of a session, one after the other. */
  asks(ref: SessionRef, finds?: number): Promise<number>;
}

export class CacheLab {
  database!: TestDatabase;
  nodes!: readonly [CacheNode, CacheNode];
  readonly payloads: string[] = [];
  readonly #open = new Set<CacheNode>();
  #ear!: pg.Client;

  async start(): Promise<void> {
    this.database = await createDatabase();
    await migrate(this.database.url);
    this.#ear = new pg.Client({ connectionString: this.database.url });
    await this.#ear.connect();
    this.#ear.on('notification', ({ payload }) => this.payloads.push(payload!));
    await this.#ear.query(`LISTEN ${channelOf('sessions')}`);
    this.nodes = [await this.open(), await this.open()];
  }

  async stop(): Promise<void> {
    for (const node of this.#open) await this.close(node);
    await this.#ear?.end();
    await this.database?.drop();
  }

  /**
   * @param url through which the node reaches the database.
   * @param prepare before anything has passed its proxy.
   */
  async open(url = this.database.url, prepare?: (proxy: PostgresProxy) => void): Promise<CacheNode> {
    const proxy = await startPostgresProxy(url);
    prepare?.(proxy);
    const options = { entities: [SessionEntity], extra: { max: 5 } };
    const dataSource = new DataSource({ type: 'postgres', url: proxy.url, connectTimeoutMS: 2_000, ...options });
    await dataSource.initialize();
    const events: SessionEvent[] = [];
    const warnings: string[] = [];
    const store = createStore(
      dataSource,
      SessionEntity,
      { deadline: 15_000, maxBytes: 65_536 },
      (sentence) => warnings.push(sentence),
      { maxSessions: 100, maxBytes: 1_000_000, maxAge: 2_000 },
      (event) => events.push(event),
    );
    await store.check();
    const node: CacheNode = {
      store,
      proxy,
      dataSource,
      events,
      warnings,
      async find({ tokenHash }) {
        const [found] = await store.find([tokenHash]);
        return found?.status === 'live' ? (JSON.parse(found.session.data) as unknown) : found?.status;
      },
      async asks(ref, finds = 10) {
        proxy.reset();
        for (let find = 0; find < finds; find++) await node.find(ref);
        return proxy.sessionStatements.length;
      },
    };
    this.#open.add(node);
    return node;
  }

  async close(node: CacheNode): Promise<void> {
    this.#open.delete(node);
    await node.store.close!();
    await node.dataSource.destroy();
    await node.proxy.close();
  }

  async create(data: Record<string, unknown> = {}): Promise<SessionRef> {
    const ref = { id: randomUUID(), tokenHash: hashToken(createToken()) };
    const lifetime = { idleTimeout: HOUR, absoluteTimeout: 10 * HOUR, persistent: true };
    await this.nodes[0].store.create({ ...ref, ...lifetime, userId: undefined, data: delta(data).set });
    return ref;
  }

  /** A session that a node has in its cache. */
  async cached(node: CacheNode, data: Record<string, unknown> = { n: 1 }): Promise<SessionRef> {
    const ref = await this.create(data);
    await eventually(async () => expect(await node.asks(ref, 2)).toBe(0));
    return ref;
  }

  async update({ store }: CacheNode, ref: SessionRef, values: Record<string, unknown>): Promise<string> {
    return (await store.update(ref, delta(values), NEVER)).status;
  }

  /** Ends the connections on which caches listen. */
  async terminateListeners(): Promise<void> {
    const others = `application_name = '${LISTENER}' AND datname = current_database()`;
    await this.database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${others}`);
  }
}

export function useCacheLab(): CacheLab {
  const lab = new CacheLab();
  jest.setTimeout(30_000);
  beforeAll(() => lab.start());
  afterEach(() => {
    for (const { proxy } of lab.nodes) {
      proxy.mode = 'pass';
      proxy.mute = undefined;
      proxy.dropAnswerTo = undefined;
    }
  });
  afterAll(() => lab.stop());
  return lab;
}

/** Repeats a check until it holds; its own failure after so many milliseconds. */
export async function eventually(check: () => Promise<void>, milliseconds = 10_000): Promise<void> {
  const end = performance.now() + milliseconds;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await delay(20);
    }
  }
}
