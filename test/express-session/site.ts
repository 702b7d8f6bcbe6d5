import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Type } from '@nestjs/common';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import session, { type SessionOptions, type Store } from 'express-session';
import {
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  ExpressSessionStore,
  type ExpressSessionStoreOptions,
  type SessionColumns,
} from 'nestjs-typeorm-session/express-session';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { Client } from '../support/client.js';

declare module 'express-session' {
  interface SessionData {
    [key: string]: unknown;
  }
}

/** An Express application with express-session, on a real socket, whose handlers a test writes as it goes. */
export interface Site {
  readonly url: string;
  readonly store: Store;
  /** What the error handler was given. */
  readonly errors: unknown[];
  client(): Client;
  /** Lets a handler do it in a request of this visitor. */
  act(client: Client, handler: Handler): ReturnType<Client['post']>;
  /** Where a POST has a handler do it. */
  path(handler: Handler): string;
  close(): Promise<void>;
}

export type Handler = (req: Request, res: Parameters<RequestHandler>[1]) => unknown;

export interface SiteOptions extends Omit<SessionOptions, 'secret' | 'store'> {
  /** Answers errors instead of the site's own handler. Default: it answers their status and code. */
  readonly onError?: ErrorRequestHandler | false;
}

export async function startSite(store: Store, { onError, ...options }: SiteOptions = {}): Promise<Site> {
  const errors: unknown[] = [];
  const handlers = new Map<string, Handler>();
  const app = express();
  // Its own error handler prints what it is given, but not in tests.
  app.set('env', 'test');
  app.use(session({ secret: 'a secret of the tests', resave: false, saveUninitialized: false, ...options, store }));
  app.post('/act/:name', async (req, res) => {
    const result = await handlers.get(req.params.name)!(req, res);
    if (!res.headersSent) res.json(result ?? {});
  });
  const answer: ErrorRequestHandler = (error, req, res, next) => {
    errors.push(error);
    if (onError) return void onError(error, req, res, next);
    if (onError === false || res.headersSent) return next(error);
    const { status = 500, code, headers = {} } = error as { status?: number; code?: string; headers?: object };
    res.status(status).set(headers).json({ code });
  };
  app.use(answer);
  const server: Server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const path = (handler: Handler) => {
    const name = String(handlers.size);
    handlers.set(name, handler);
    return `/act/${name}`;
  };
  return {
    url,
    store,
    errors,
    client: () => new Client(url),
    act: (client, handler) => client.post(path(handler)),
    path,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** A migrated data source, and a store on it. */
export async function openExpressStore(
  typeorm: Partial<TypeOrmModuleOptions>,
  options: Omit<ExpressSessionStoreOptions, 'entity'> & { entity: Type<SessionColumns> },
): Promise<{ dataSource: DataSource; store: ExpressSessionStore }> {
  const dataSource = new DataSource({
    ...typeorm,
    entities: [options.entity],
    migrations: [CreateSessions1764000000000, CreateSessionFunctions1764300000000],
    migrationsRun: true,
  } as DataSourceOptions);
  const store = new ExpressSessionStore(dataSource, { cleanup: false, ...options });
  await dataSource.initialize();
  await store.check();
  return { dataSource, store };
}

/** A promise of what a method with a callback answers. */
export function answered<R = void>(call: (callback: (error?: any, result?: any) => void) => unknown): Promise<R> {
  return new Promise((resolve, reject) => {
    call((error: unknown, result: R) => (error ? reject(error as Error) : resolve(result)));
  });
}

/** The session id of a visitor, as the cookie has it. */
export function sidOf(client: Client): string {
  return decodeURIComponent(client.cookie.split('=')[1]!).slice('s:'.length).split('.')[0]!;
}
