import session from 'express-session';
import { ExpressSessionStore } from 'nestjs-typeorm-session/express-session';
import type { RequestHandler } from 'express';
import type { DataSource } from 'typeorm';

declare module 'express-session' {
  interface SessionData {
    count: number;
  }
}

/** What an application has that keeps express-session, with the store exchanged. */
export function legacy(dataSource: DataSource): RequestHandler[] {
  const store = new ExpressSessionStore(dataSource);
  return [
    session({ store, secret: 'a secret', name: 'legacy', resave: false, saveUninitialized: false }),
    (req, res, next) => {
      if (req.method === 'DELETE') return req.session.destroy((error) => (error ? next(error) : res.json({})));
      if (req.method === 'POST') req.session.count = (req.session.count ?? 0) + 1;
      res.json({ count: req.session.count ?? null });
    },
  ];
}
