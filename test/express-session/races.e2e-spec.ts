import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import connectPgSimple from 'connect-pg-simple';
import session, { type Store } from 'express-session';
import { SessionEntity } from 'nestjs-typeorm-session/express-session';
import type { Client } from '../support/client.js';
import { createDatabase, openPool, type TestDatabase } from '../support/database.js';
import { openExpressStore, startSite, type Site } from './site.js';

/** Tabs of one visitor, each of which counts up a key of its own. */
const KEYS = 12;
const TIMES = 25;

describe('Races of one session under express-session on express', () => {
  jest.setTimeout(60_000);
  let database: TestDatabase;
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
    await database?.drop();
  });

  /** Two nodes, each with a store of its own on the same database. */
  async function nodes(open: () => Promise<{ store: Store; close(): Promise<unknown> }>): Promise<Site[]> {
    const sites: Site[] = [];
    for (let node = 0; node < 2; node++) {
      const { store, close } = await open();
      closing.push(close);
      sites.push(await startSite(store));
      closing.push(() => sites[node]!.close());
    }
    return sites;
  }
  const ours = () =>
    nodes(async () => {
      const typeorm = { type: 'postgres' as const, url: database.url };
      const { dataSource, store } = await openExpressStore(typeorm, { entity: SessionEntity, deadline: '15s' });
      return { store, close: () => dataSource.destroy() };
    });
  const naive = () =>
    nodes(async () => {
      const pool = openPool(database.url);
      const PgStore = connectPgSimple(session);
      const store = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
      // Its table is made by the first who asks, and two at once collide.
      await new Promise((resolve) => store.get('nobody', resolve));
      return { store, close: () => pool.end() };
    });

  /** @returns what was acknowledged and is not there */
  async function lostOf(sites: readonly Site[]): Promise<number> {
    const first = sites[0]!.client();
    await sites[0]!.act(first, (req) => void (req.session.begun = true));
    let acknowledged = 0;
    const count = async (key: string, site: Site, client: Client) => {
      for (let time = 0; time < TIMES; time++) {
        const { status } = await site.act(client, (req) => {
          req.session[key] = Number(req.session[key] ?? 0) + 1;
        });
        if (status === 200) acknowledged++;
      }
    };
    await Promise.all(
      Array.from({ length: KEYS }, (_, index) => {
        const site = sites[index % sites.length]!;
        return count(`key ${index}`, site, first.at(site.url));
      }),
    );
    const { body } = await sites[0]!.act(first, (req) => req.session);
    const counts = Object.entries(body as Record<string, number>).filter(([key]) => key.startsWith('key '));
    expect(acknowledged).toBe(KEYS * TIMES);
    return acknowledged - counts.reduce((sum, [, value]) => sum + value, 0);
  }

  it('[express: race] loses nothing that tabs count up at once, each its own key, on two nodes', async () => {
    expect(await lostOf(await ours())).toBe(0);
  });

  it('[express: race] which is no wonder of the test: connect-pg-simple loses some', async () => {
    const lost = await lostOf(await naive());
    console.info(`connect-pg-simple: ${lost} of ${KEYS * TIMES} acknowledged changes lost`);
    expect(lost).toBeGreaterThan(0);
  });

  it('[express: race] a sign-out among many saves ends the session for good', async () => {
    const sites = await ours();
    for (let round = 0; round < 20; round++) {
      const first = sites[0]!.client();
      await sites[0]!.act(first, (req) => void (req.session.a = 0));
      const save = (index: number) => {
        const site = sites[index % sites.length]!;
        return site.act(first.at(site.url), (req) => void (req.session[`k${index}`] = 1)).catch(() => undefined);
      };
      const saves = Array.from({ length: 8 }, (_, index) => save(index));
      await sites[1]!.act(first.at(sites[1]!.url), (req) => void req.session.destroy(() => undefined));
      await Promise.all(saves);
    }
    // Requests that came after the sign-out began sessions of their own.
    const rows = await database.query<{ data: { a?: number } }>('SELECT data FROM sessions');
    expect(rows.filter(({ data }) => data.a === 0)).toEqual([]);
  });
});
