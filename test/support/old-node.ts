import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import connectPgSimple from 'connect-pg-simple';
import express from 'express';
import session from 'express-session';
import { Client } from './client.js';
import { openPool } from './database.js';

export const OLD_SECRET = 'keyboard cat';

/** A node of the release before: express-session with connect-pg-simple, as its users have it. */
export interface OldNode {
  readonly url: string;
  /** Of its table. */
  readonly store: session.Store;
  client(): Client;
  close(): Promise<void>;
}

declare module 'express-session' {
  interface SessionData {
    passport?: { user?: string };
    [key: string]: unknown;
  }
}

/** The table that connect-pg-simple comes with. */
export function oldTable(): Promise<string> {
  return readFile(createRequire(import.meta.url).resolve('connect-pg-simple/table.sql'), 'utf8');
}

export async function startOldNode(databaseUrl: string, cookie: session.CookieOptions = {}): Promise<OldNode> {
  const pool = openPool(databaseUrl, { max: 4 });
  const Store = connectPgSimple(session);
  const store = new Store({ pool, pruneSessionInterval: false });
  const app = express();
  app.use(express.json());
  app.use(session({ store, secret: OLD_SECRET, resave: false, saveUninitialized: false, cookie }));
  app.get('/data', ({ session: { cookie: _, ...data } }, response) => void response.json(data));
  app.post('/data', (request, response) => {
    Object.assign(request.session, request.body);
    response.json({});
  });
  app.post('/sign-in', (request, response, next) => {
    const { cookie: _, ...data } = request.session;
    request.session.regenerate((error) => {
      if (error) return next(error);
      Object.assign(request.session, data, { passport: { user: (request.body as { user: string }).user } });
      response.json({});
    });
  });
  app.post('/sign-out', (request, response, next) => {
    request.session.destroy((error) => {
      if (error) return next(error);
      response.clearCookie('connect.sid');
      response.json({});
    });
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async () => {
    await closeServer(server);
    await pool.end();
  };
  return { url, store, client: () => new Client(url), close };
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
