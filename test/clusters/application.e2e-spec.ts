import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { build } from '../../scripts/build.mjs';
import { ApplicationCluster } from '../../scripts/cluster/cluster.mjs';
import { Client, type Reply } from '../support/client.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';

interface Me {
  readonly signedIn: boolean;
  readonly name: string | null;
}

type CartItem = { readonly sku: string; readonly quantity: number };

describe('[nodes] the application as three processes behind a balancer without stickiness', () => {
  let database: TestDatabase;
  let cluster: ApplicationCluster;
  jest.setTimeout(120_000);

  beforeAll(async () => {
    database = await createDatabase();
    await Promise.all([migrate(database.url), build({ onlyIfChanged: true })]);
    cluster = await ApplicationCluster.start({ databaseUrl: database.url, platforms: ['express', 'fastify'] });
  });

  afterAll(async () => {
    await cluster?.close();
    await database?.drop();
  });

  async function signedIn(name: string): Promise<Client> {
    const client = new Client(cluster.url);
    expect((await client.post('/api/sign-in', { name })).status).toBe(200);
    return client;
  }

  /** What visitors are answered who read and buy, each one request after the other, while something happens. */
  async function shopWhile(visitors: readonly Client[], happening: () => Promise<void>) {
    const replies: { visitor: number; path: string; reply: Reply }[] = [];
    let isOver = false;
    const shop = async (visitor: number) => {
      const client = visitors[visitor]!;
      while (!isOver) {
        for (const path of ['/api/me', '/api/cart', '/']) {
          replies.push({ visitor, path, reply: await client.get(path) });
        }
        const reply = await client.post('/api/cart', { sku: 'assam', quantity: 1 });
        replies.push({ visitor, path: 'POST', reply });
        await delay(10);
      }
    };
    const shopping = Promise.all(visitors.map((_client, visitor) => shop(visitor)));
    await happening();
    isOver = true;
    await shopping;
    return replies;
  }

  const quantityOf = (cart: readonly CartItem[]) => cart.find(({ sku }) => sku === 'assam')?.quantity ?? 0;

  it('serves one visitor by all of them, and the page says which', async () => {
    const client = await signedIn('Ann');
    const nodes = new Set<string | null>();
    const pages = new Set<string | undefined>();
    for (let request = 0; request < 6; request++) {
      const reply = await client.get('/');
      expect(reply.text).toContain('Signed in as <strong>Ann</strong>');
      nodes.add(reply.headers.get('x-node'));
      pages.add(/served by (node \d)/.exec(reply.text)?.[1]);
    }
    expect(nodes).toEqual(new Set(['node 1', 'node 2', 'node 3']));
    expect(pages).toEqual(nodes);
  });

  it('restarts one after the other under load, and no request fails', async () => {
    const visitors = await Promise.all(Array.from({ length: 4 }, (_, index) => signedIn(`Visitor ${index}`)));
    const replies = await shopWhile(visitors, () => cluster.rollingRestart());
    const failed = replies.filter(({ reply }) => ![200, 201].includes(reply.status));
    expect(failed.map(({ path, reply }) => `${path} ${reply.status} ${reply.text}`)).toEqual([]);
    for (const [visitor, client] of visitors.entries()) {
      const bought = replies.filter((each) => each.visitor === visitor && each.path === 'POST').length;
      expect(bought).toBeGreaterThan(0);
      expect(quantityOf((await client.get<CartItem[]>('/api/cart')).body)).toBe(bought);
      expect((await client.get<Me>('/api/me')).body).toMatchObject({ signedIn: true, name: `Visitor ${visitor}` });
    }
  });

  it('lets go of its connections to the database when it is told to end, and comes back', async () => {
    const client = await signedIn('Ann');
    for (let request = 0; request < 6; request++) await client.get('/api/me');
    const connectionsOf = async (node: number) => {
      const sql = 'SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = $1';
      return (await database.query<{ count: number }>(sql, [`node ${node}`]))[0]!.count;
    };
    expect(await connectionsOf(3)).toBeGreaterThan(0);
    // An idle connection of a client that is kept open does not keep the process.
    expect(await cluster.stopNode(3)).toBeLessThan(4000);
    expect(await connectionsOf(3)).toBe(0);
    expect((await client.get<Me>('/api/me')).body).toMatchObject({ signedIn: true, name: 'Ann' });
    await cluster.startNode(3);
  });

  it('loses one by kill -9 under load: every GET is good when it is repeated, nobody loses sign-in or cart', async () => {
    const visitors = await Promise.all(Array.from({ length: 4 }, (_, index) => signedIn(`Visitor ${index}`)));
    const repeated: Reply[] = [];
    const replies = await shopWhile(visitors, async () => {
      while (Object.values<number>(cluster.served).some((count) => count < 30)) await delay(20);
      await cluster.killNode(2);
      for (let round = 0; round < 10; round++) {
        for (const client of visitors) {
          let reply = await client.get<Me>('/api/me');
          if (reply.status === 502) reply = await client.get<Me>('/api/me');
          repeated.push(reply);
        }
      }
    });
    expect(new Set(repeated.map(({ status }) => status))).toEqual(new Set([200]));
    expect(repeated.every(({ body }) => (body as Me).signedIn)).toBe(true);
    // What was under way at the killed node has no answer, and nobody repeats it but the visitor.
    const statuses = new Set(replies.map(({ reply }) => reply.status));
    expect([...statuses].filter((status) => ![200, 201, 502].includes(status))).toEqual([]);
    expect(replies.filter(({ reply }) => reply.status === 502).length).toBeLessThanOrEqual(visitors.length);
    for (const [visitor, client] of visitors.entries()) {
      const bought = replies.filter((each) => each.visitor === visitor && each.path === 'POST');
      const acknowledged = bought.filter(({ reply }) => reply.status === 201).length;
      const quantity = quantityOf((await client.get<CartItem[]>('/api/cart')).body);
      expect(quantity).toBeGreaterThanOrEqual(acknowledged);
      expect(quantity).toBeLessThanOrEqual(bought.length);
    }
    await cluster.startNode(2);
    expect(cluster.isRunning(2)).toBe(true);
  });
});
