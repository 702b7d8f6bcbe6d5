import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import { SessionEntity, type ExpressSessionStore } from 'nestjs-typeorm-session/express-session';
import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { createDatabase, openPool, type TestDatabase } from '../support/database.js';
import { openExpressStore, sidOf, startSite, type Site } from './site.js';

const HOUR = 3_600_000;
const sql = (name: string) => readFileSync(new URL(`../../docs/sql/${name}.sql`, import.meta.url), 'utf8');

describe('Sessions of another store for express-session, copied for ours on express', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let store: ExpressSessionStore;
  let pool: pg.Pool;
  let before: Site;
  let after: Site;

  beforeAll(async () => {
    database = await createDatabase();
    pool = openPool(database.url);
    const PgStore = connectPgSimple(session);
    const old = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
    before = await startSite(old);
    ({ dataSource, store } = await openExpressStore(
      { type: 'postgres', url: database.url },
      { entity: SessionEntity },
    ));
    after = await startSite(store);
  });
  afterAll(async () => {
    await before?.close();
    await after?.close();
    await pool?.end();
    await dataSource?.destroy();
    await database?.drop();
  });

  async function visitors() {
    const brief = before.client();
    await before.act(brief, (req) => void Object.assign(req.session, { user: 'Ann', cart: [1] }));
    const long = before.client();
    await before.act(long, (req) => {
      req.session.user = 'Bea';
      req.session.cookie.maxAge = 30 * 24 * HOUR;
    });
    return { brief: brief.at(after.url), long: long.at(after.url) };
  }

  async function expectSignedIn({ brief, long }: Awaited<ReturnType<typeof visitors>>) {
    expect((await after.act(brief, (req) => req.session)).body).toMatchObject({ user: 'Ann', cart: [1] });
    const { body } = await after.act(long, ({ session: mine }) => ({ user: mine.user, left: mine.cookie.maxAge }));
    expect(body).toMatchObject({ user: 'Bea' });
    expect(Math.abs((body as { left: number }).left - 30 * 24 * HOUR)).toBeLessThan(HOUR / 60);
    await after.act(brief, (req) => void (req.session.cart = [1, 2]));
    expect((await after.act(brief, (req) => ({ cart: req.session.cart }))).body).toEqual({ cart: [1, 2] });
    const [counted] = await database.query<{ n: number }>('SELECT count(*)::int AS n FROM sessions');
    expect(counted).toEqual({ n: 2 });
  }

  it('[express: copied] those of connect-pg-simple are signed in as before, under the same cookie', async () => {
    const signedIn = await visitors();
    await database.query(sql('from-connect-pg-simple'));
    await database.query(sql('from-connect-pg-simple'));
    await expectSignedIn(signedIn);
  });

  it('[express: copied] and so are those of connect-typeorm', async () => {
    await database.query('DELETE FROM sessions');
    const signedIn = await visitors();
    // As its README has the entity: https://github.com/freshgiammi-lab/connect-typeorm
    await database.query('ALTER TABLE session RENAME TO simple');
    await database.query(
      'CREATE TABLE session ("expiredAt" bigint, id varchar(255) PRIMARY KEY, json text, "destroyedAt" timestamp)',
    );
    const all = `SELECT extract(epoch FROM expire) * 1000, sid, sess::text, NULL::timestamp FROM simple`;
    await database.query(`INSERT INTO session ${all} WHERE sid IN ($1, $2)`, [
      sidOf(signedIn.brief),
      sidOf(signedIn.long),
    ]);
    await database.query(
      `INSERT INTO session VALUES (1, 'expired', '{}', NULL), (9999999999999, 'destroyed', '{}', now())`,
    );
    await database.query(sql('from-connect-typeorm'));
    await expectSignedIn(signedIn);
  });
});
