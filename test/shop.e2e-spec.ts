import { type INestApplication, Logger } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, type Reply } from './support/client.js';
import { createDatabase, migrate, type TestDatabase } from './support/database.js';

interface CartItem {
  sku: string;
  quantity: number;
}

interface Me {
  signedIn: boolean;
  name: string | null;
  visits: number;
  sessionId: string | null;
}

describe.each(['express', 'fastify'] as const)('the shop on %s', (platform) => {
  let database: TestDatabase;
  let nodes: INestApplication[];
  let nodeA: string;
  let nodeB: string;
  let visitor: Client;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    process.env.DATABASE_URL = database.url;
    Logger.overrideLogger(['warn', 'error']);
    const { createApp } = await import('../src/app.js');
    nodes = [await createApp(platform), await createApp(platform)];
    for (const node of nodes) await node.listen(0, '127.0.0.1');
    [nodeA, nodeB] = (await Promise.all(nodes.map((node) => node.getUrl()))) as [string, string];
  });

  afterAll(async () => {
    for (const node of nodes ?? []) await node.close();
    await database?.drop();
  });

  beforeEach(async () => {
    await database.query('DELETE FROM sessions');
    visitor = new Client(nodeA);
  });

  const countSessions = async () => (await database.query('SELECT id FROM sessions')).length;
  const me = async (client: Client) => (await client.get<Me>('/api/me')).body;
  const put = (client: Client, sku: string, quantity: number) =>
    client.post<CartItem[]>('/api/cart', { sku, quantity });

  describe('from a fresh clone', () => {
    it.each(['/', '/api/me', '/api/cart', '/health'])(
      'the first GET of %s sets no cookie and makes no row',
      async (path) => {
        const reply = await visitor.get(path);
        expect(reply.status).toBe(200);
        expect(reply.setCookies).toEqual([]);
        expect(await countSessions()).toBe(0);
      },
    );

    it('a POST that stores sets a cookie and makes a row', async () => {
      const reply = await put(visitor, 'sencha', 2);
      expect(reply.status).toBe(201);
      expect(reply.body).toEqual([{ sku: 'sencha', quantity: 2 }]);
      expect(reply.setCookies).toHaveLength(1);
      expect(reply.setCookies[0]).toMatch(/^sid=[^;]+;.*HttpOnly/i);
      expect(reply.setCookies[0]).toMatch(/SameSite=Lax/i);
      expect(await countSessions()).toBe(1);
    });

    it('the next request, on a second node with the same database, reads it', async () => {
      await put(visitor, 'sencha', 2);
      const reply = await visitor.at(nodeB).get('/api/cart');
      expect(reply.body).toEqual([{ sku: 'sencha', quantity: 2 }]);
      expect(reply.setCookies).toEqual([]);
    });

    it('sign-in changes the token and keeps the id and the cart', async () => {
      await put(visitor, 'sencha', 2);
      const before = { cookie: visitor.cookie, id: (await me(visitor)).sessionId };
      const reply = await visitor.post('/api/sign-in', { name: 'Ann' });
      expect(reply.status).toBe(200);
      expect(reply.body).toEqual({ name: 'Ann', sessionId: before.id });
      expect(visitor.cookie).not.toBe(before.cookie);
      expect(await me(visitor.at(nodeB))).toMatchObject({ signedIn: true, name: 'Ann', sessionId: before.id });
      expect((await visitor.at(nodeB).get('/api/cart')).body).toEqual([{ sku: 'sencha', quantity: 2 }]);
      expect(await countSessions()).toBe(1);
    });

    it('the old cookie is anonymous', async () => {
      await put(visitor, 'sencha', 2);
      const thief = visitor.at(nodeB);
      await visitor.post('/api/sign-in', { name: 'Ann' });
      expect(await me(thief)).toEqual({ signedIn: false, name: null, visits: 0, sessionId: null });
      expect((await thief.get('/api/cart')).body).toEqual([]);
    });

    it('the old cookie writes nothing', async () => {
      await put(visitor, 'sencha', 2);
      const thief = visitor.at(nodeB);
      await visitor.post('/api/sign-in', { name: 'Ann' });
      const reply = await put(thief, 'assam', 1);
      expect(reply.status).toBe(409);
      expect(reply.body).toMatchObject({ code: 'SESSION_REPLACED' });
      expect(reply.setCookies).toEqual([]);
      expect((await visitor.get('/api/cart')).body).toEqual([{ sku: 'sencha', quantity: 2 }]);
      expect(await countSessions()).toBe(1);
    });

    it('sign-out removes the row and the cookie', async () => {
      await visitor.post('/api/sign-in', { name: 'Ann' });
      const kept = visitor.at(nodeB);
      const reply = await visitor.post('/api/sign-out');
      expect(reply.status).toBe(204);
      expect(reply.setCookies).toEqual([expect.stringMatching(/^sid=;.*Max-Age=0/i)]);
      expect(visitor.cookie).toBe('');
      expect(await countSessions()).toBe(0);
      expect(await me(kept)).toMatchObject({ signedIn: false });
    });
  });

  describe('the page', () => {
    const submit = (path: string, fields: object) => visitor.post(path, fields, { form: true });
    const expectRedirect = (reply: Reply, to: string) => {
      expect([reply.status, reply.headers.get('location')]).toEqual([303, to]);
    };

    it('counts the visits of who has a session', async () => {
      expect((await visitor.get('/')).text).toContain('your first visit');
      await submit('/sign-in', { name: 'Ann' });
      expect((await visitor.get('/')).text).toContain('seen this page once');
      expect((await visitor.at(nodeB).get('/')).text).toContain('seen this page 2 times');
      expect(await me(visitor)).toMatchObject({ visits: 2 });
    });

    it('counts visits that come at the same time', async () => {
      await submit('/sign-in', { name: 'Ann' });
      const tabs = Array.from({ length: 10 }, (_, tab) => visitor.at(tab % 2 ? nodeA : nodeB).get('/'));
      expect((await Promise.all(tabs)).map(({ status }) => status)).toEqual(Array(10).fill(200));
      expect(await me(visitor)).toMatchObject({ visits: 10 });
    });

    it('redirects after a form and shows the flash message once', async () => {
      expectRedirect(await submit('/cart', { sku: 'darjeeling', quantity: '3' }), '/');
      const page = await visitor.at(nodeB).get('/');
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(page.text).toContain('In your cart: 3 × darjeeling');
      const again = await visitor.get('/');
      expect(again.text).not.toContain('In your cart: 3');
      expect(again.text).toContain('<span>darjeeling</span>');
    });

    it('signs in and out', async () => {
      expectRedirect(await submit('/sign-in', { name: 'Ann' }), '/');
      expect((await visitor.get('/')).text).toMatch(/Welcome, Ann!.*Signed in as|Signed in as.*Welcome, Ann!/s);
      expectRedirect(await submit('/sign-out', {}), '/?signed-out');
      expect(visitor.cookie).toBe('');
      expect(await countSessions()).toBe(0);
      const page = await visitor.get('/?signed-out');
      expect(page.text).toContain('You are signed out.');
      expect(page.setCookies).toEqual([]);
    });

    it('escapes what visitors typed', async () => {
      await submit('/sign-in', { name: '<script>alert("name")</script>' });
      await submit('/cart', { sku: `"><img src=x onerror='alert(1)'>&`, quantity: '1' });
      const { text } = await visitor.get('/');
      expect(text).toContain('<strong>&lt;script&gt;alert(&quot;name&quot;)&lt;/script&gt;</strong>');
      expect(text).toContain('<span>&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;</span>');
      expect(text).not.toMatch(/<script|<img/);
    });

    it('takes its own forms from a browser that sends Origin alone', async () => {
      // With no-referrer it would be `Origin: null` (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
      expect((await visitor.get('/')).headers.get('referrer-policy')).toBe('same-origin');
      const reply = await visitor.post('/sign-in', { name: 'Ann' }, { form: true, headers: { origin: nodeA } });
      expectRedirect(reply, '/');
    });

    it.each(['cross-site', 'same-site'])('refuses a form that a %s page posted', async (site) => {
      const headers = { 'sec-fetch-site': site };
      const reply = await visitor.post('/sign-in', { name: 'Mallory' }, { form: true, headers });
      expect(reply.status).toBe(403);
      expect(reply.setCookies).toEqual([]);
      expect(await countSessions()).toBe(0);
    });
  });

  describe('the cart', () => {
    it('adds the same sku to its line', async () => {
      await put(visitor, 'assam', 1);
      await put(visitor, 'sencha', 1);
      const reply = await put(visitor, 'assam', 2);
      expect(reply.body).toEqual([
        { sku: 'assam', quantity: 3 },
        { sku: 'sencha', quantity: 1 },
      ]);
    });

    it('loses nothing when tabs on two nodes add at once', async () => {
      await put(visitor, 'sencha', 1);
      const tabs = Array.from({ length: 20 }, (_, tab) => put(visitor.at(tab % 2 ? nodeA : nodeB), 'assam', 1));
      expect((await Promise.all(tabs)).map(({ status }) => status)).toEqual(Array(20).fill(201));
      expect((await visitor.get('/api/cart')).body).toEqual([
        { sku: 'sencha', quantity: 1 },
        { sku: 'assam', quantity: 20 },
      ]);
    });

    it('refuses more different items than a cart holds, and keeps the ones it has', async () => {
      for (let item = 0; item < 50; item++) await put(visitor, `tea-${item}`, 1);
      expect((await put(visitor, 'one-more', 1)).status).toBe(422);
      expect((await put(visitor, 'tea-0', 1)).status).toBe(201);
      expect((await visitor.get<CartItem[]>('/api/cart')).body).toHaveLength(50);
    });

    it('is bought by who is signed in, and once', async () => {
      await put(visitor, 'assam', 2);
      expect(await visitor.post('/api/checkout')).toMatchObject({ status: 401, body: { code: 'SESSION_REQUIRED' } });
      await visitor.post('/api/sign-in', { name: 'Ann' });
      const clicks = await Promise.all([visitor.post('/api/checkout'), visitor.at(nodeB).post('/api/checkout')]);
      expect(new Set(clicks.map(({ status }) => status))).toEqual(new Set([200, 400]));
      expect(clicks.find(({ status }) => status === 200)?.body).toEqual({ ordered: [{ sku: 'assam', quantity: 2 }] });
    });
  });

  describe('a body that is wrong', () => {
    it.each([
      ['/api/cart', { sku: 'assam' }],
      ['/api/cart', { sku: 'assam', quantity: '2' }],
      ['/api/cart', { sku: 'assam', quantity: 0 }],
      ['/api/cart', { sku: 'assam', quantity: 1.5 }],
      ['/api/cart', { sku: '', quantity: 1 }],
      ['/api/cart', { sku: 'a\u0000b', quantity: 1 }],
      ['/api/cart', { sku: 'a\ud800b', quantity: 1 }],
      ['/api/cart', { sku: ['assam'], quantity: 1 }],
      ['/api/cart', { sku: 'assam', quantity: 1, price: 0 }],
      ['/api/sign-in', {}],
      ['/api/sign-in', { name: ' ' }],
      ['/api/sign-in', { name: 'x'.repeat(65) }],
      ['/api/sign-in', { name: 'Ann', admin: true }],
    ])('is refused at %s: %j', async (path, body) => {
      const reply = await visitor.post(path, body);
      expect(reply.status).toBe(400);
      expect(reply.setCookies).toEqual([]);
      expect(await countSessions()).toBe(0);
    });

    it.each([
      ['/cart', { sku: 'assam', quantity: 'many' }],
      ['/cart', { sku: 'assam', quantity: '' }],
      ['/cart', { sku: '', quantity: '1' }],
      ['/sign-in', { name: '' }],
    ])('is refused at the form %s: %j', async (path, fields) => {
      expect((await visitor.post(path, fields, { form: true })).status).toBe(400);
      expect(await countSessions()).toBe(0);
    });
  });

  it('answers /health without a query, also to who has a cookie', async () => {
    await put(visitor, 'assam', 1);
    await database.query('ALTER TABLE sessions RENAME TO hidden_sessions');
    try {
      const reply = await visitor.get('/health');
      expect([reply.status, reply.body, reply.headers.get('vary')]).toEqual([200, { status: 'ok' }, null]);
      expect((await visitor.get('/api/me')).status).toBeGreaterThanOrEqual(500);
    } finally {
      await database.query('ALTER TABLE hidden_sessions RENAME TO sessions');
    }
  });

  it('shows the clean-up of the library in the SchedulerRegistry', () => {
    const registry = nodes[0]!.get(SchedulerRegistry, { strict: false });
    expect([...registry.getIntervals(), ...registry.getTimeouts(), ...registry.getCronJobs().keys()]).toHaveLength(1);
  });
});
