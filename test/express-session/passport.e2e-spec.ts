import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import express from 'express';
import session from 'express-session';
import { SessionEntity } from 'nestjs-typeorm-session/express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { Client } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { openExpressStore } from './site.js';

/** Visitors who sign in at one node and are sent to a page of the other. */
const SIGN_INS = 100;

describe('passport with express-session and its store on express', () => {
  let database: TestDatabase;
  const nodes: string[] = [];
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    database = await createDatabase();
    for (let node = 0; node < 2; node++) nodes.push(await startNode());
  });
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
    await database?.drop();
  });

  /** What the manual of passport shows, and the store. */
  async function startNode(): Promise<string> {
    const typeorm = { type: 'postgres' as const, url: database.url };
    const { dataSource, store } = await openExpressStore(typeorm, { entity: SessionEntity, deadline: '15s' });
    const authenticator = new passport.Passport();
    authenticator.use(
      new Strategy((username, password, done) => done(null, password === 'tea' ? { username } : false)),
    );
    authenticator.serializeUser((user, done) => done(null, user));
    authenticator.deserializeUser((user: Express.User, done) => done(null, user));
    const app = express();
    app.use(express.urlencoded());
    app.use(session({ store, secret: 'a secret of the tests', resave: false, saveUninitialized: false }));
    app.use(authenticator.session());
    app.post('/cart', (req, res) => void ((req.session.cart = [1]), res.json({})));
    app.post('/login', authenticator.authenticate('local', { keepSessionInfo: true, successRedirect: '/profile' }));
    app.get('/profile', (req, res) => void res.json({ user: req.user ?? null, cart: req.session.cart ?? null }));
    app.post('/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.redirect('/profile'))));
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(
      () => dataSource.destroy(),
      async () => {
        server.close();
        server.closeAllConnections();
      },
    );
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const credentials = { username: 'Ann', password: 'tea' };
  const nobody = { user: null, cart: null };

  it('[express: passport] signs in with a new id, keeps the cart, and signs out for good', async () => {
    const visitor = new Client(nodes[0]!);
    await visitor.post('/cart');
    const planted = visitor.at(nodes[1]!);
    const { status } = await visitor.post('/login', credentials, { form: true });
    expect([status, visitor.cookie === planted.cookie]).toEqual([302, false]);
    const there = visitor.at(nodes[1]!);
    expect((await there.get('/profile')).body).toEqual({ user: { username: 'Ann' }, cart: [1] });
    expect((await planted.get('/profile')).body).toEqual(nobody);
    const stolen = visitor.at(nodes[0]!);
    await there.post('/logout');
    expect((await stolen.get('/profile')).body).toEqual(nobody);
  });

  it('[express: passport] nobody who follows the redirect at once to the other node finds no session', async () => {
    const users = await Promise.all(
      Array.from({ length: SIGN_INS }, async (_, index) => {
        const visitor = new Client(nodes[index % 2]!);
        const username = `user ${index}`;
        await visitor.post('/login', { ...credentials, username }, { form: true });
        const { body } = await visitor
          .at(nodes[(index + 1) % 2]!)
          .get<{ user: { username: string } | null }>('/profile');
        return body.user?.username === username;
      }),
    );
    expect(users.filter(Boolean)).toHaveLength(SIGN_INS);
  });
});
