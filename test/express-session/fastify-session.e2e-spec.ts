import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import fastifyCookie from '@fastify/cookie';
import fastifySession, { type SessionStore } from '@fastify/session';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import session from 'express-session';
import Fastify, { type FastifyRequest } from 'fastify';
import { SessionEntity, type ExpressSessionStore } from 'nestjs-typeorm-session/express-session';
import type { DataSource } from 'typeorm';
import { Client } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { openExpressStore } from './site.js';

declare module 'fastify' {
  interface Session {
    [key: string]: unknown;
  }
}

type Handler = (request: FastifyRequest) => unknown;

/** What docs/decisions/014 says of @fastify/session, as a test: should it change, so may the decision. */
describe('@fastify/session, which the store for express-session does not support', () => {
  const closing: (() => Promise<unknown>)[] = [];
  let database: TestDatabase;
  let dataSource: DataSource;
  let ours: ExpressSessionStore;

  beforeAll(async () => {
    database = await createDatabase();
    const typeorm = { type: 'postgres' as const, url: database.url };
    ({ dataSource, store: ours } = await openExpressStore(typeorm, { entity: SessionEntity }));
  });
  afterAll(async () => {
    for (const close of closing) await close();
    await dataSource?.destroy();
    await database?.drop();
  });

  async function start(store: unknown) {
    const handlers: Handler[] = [];
    const app = Fastify();
    await app.register(fastifyCookie);
    const cookie = { secure: false };
    const options = {
      secret: 'a secret of at least thirty-two bytes',
      saveUninitialized: false,
      rolling: false,
      cookie,
    };
    await app.register(fastifySession, { ...options, store: store as SessionStore });
    app.post<{ Params: { index: string } }>('/act/:index', async (request) => {
      await handlers[Number(request.params.index)]!(request);
      return {};
    });
    app.listen({ port: 0, host: '127.0.0.1' }, () => undefined);
    await once(app.server, 'listening');
    closing.push(() => app.close());
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    return {
      client: () => new Client(url),
      act: (client: Client, handler: Handler) => client.post(`/act/${handlers.push(handler) - 1}`),
    };
  }

  /** A store of express-session's own that remembers the very objects. */
  class Watched extends session.MemoryStore {
    readonly gotten: unknown[] = [];
    readonly setted: unknown[] = [];

    override get(sid: string, callback: (error: unknown, found?: session.SessionData | null) => void): void {
      super.get(sid, (error, found) => {
        if (found) this.gotten.push(found);
        callback(error, found);
      });
    }

    override set(sid: string, data: session.SessionData, callback?: (error?: unknown) => void): void {
      this.setted.push(data);
      super.set(sid, data, callback);
    }
  }

  it('[express: fastify] saves other objects than it was handed, so nobody can tell what a request has changed', async () => {
    const store = new Watched();
    const { client: visitor, act } = await start(store);
    const client = visitor();
    await act(client, ({ session: mine }) => mine.set('a', 1));
    await act(client, ({ session: mine }) => mine.set('b', 1));
    expect(store.gotten).toHaveLength(1);
    expect(store.setted).toHaveLength(2);
    expect(store.setted).not.toContain(store.gotten[0]);
  });

  it('[express: fastify] generates sessions past the store, and brings an ended one back', async () => {
    const store = new Watched();
    const { client: visitor, act } = await start(store);
    const client = visitor();
    await act(client, ({ session: mine }) => mine.set('user', 'Ann'));
    expect('generate' in store).toBe(false);
    const { cookie } = client;
    await act(client, async ({ session: mine }) => {
      await act(client, ({ session: other }) => other.destroy());
      mine.set('late', true);
    });
    client.cookie = cookie;
    let user: unknown;
    await act(client, ({ session: mine }) => void (user = mine.get('user')));
    expect(user).toBe('Ann');
  });

  it('[express: fastify] is refused by our store with a sentence, and stores nothing', async () => {
    const { client: visitor, act } = await start(ours);
    const client = visitor();
    const { status, text, setCookies } = await act(client, ({ session: mine }) => mine.set('a', 1));
    expect([status, setCookies]).toEqual([500, []]);
    expect(text).toContain('@fastify/session gives copies, and is not supported');
    expect(await database.query('SELECT * FROM sessions')).toEqual([]);
  });
});
