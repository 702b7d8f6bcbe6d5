// The example applications before and after their move to sessions of ours: how many lines it takes, that their own suite
// passes on both sides of it, and that nobody is signed out while the nodes are changed one by one.
//
//   npm run build:lib && npm run move
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Balancer } from '../../scripts/cluster/balancer.mjs';
import { buildAfter, buildBefore, packLibrary, EXAMPLES, runSuite, startNode } from '../../scripts/move/release.mjs';
import { startPostgres } from '../../scripts/postgres.mjs';

const NODES = 3;
const VISITORS = 40;
const SIGN_INS = 1_000;
const AT_ONCE = 20;
const SECRET = 'the secret of both releases, as it mostly is';
const ANN = { name: 'ann', password: 'correct horse' };

const opened = [];
const folder = mkdtempSync(join(tmpdir(), 'move-'));
let server;
let tarball;

before(async () => {
  server = await startPostgres({ settings: { max_connections: '300' } });
  tarball = packLibrary(folder);
});

after(async () => {
  await closeAll();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

for (const platform of EXAMPLES) {
  void describe(`the application on ${platform}`, () => {
    const releases = {};
    let Browser;

    before(async () => {
      releases.before = buildBefore(platform, join(folder, `${platform}-before`));
      releases.after = buildAfter(platform, join(folder, `${platform}-after`), tarball);
      ({ Browser } = await import(join(releases.before, 'test/browser.mjs')));
    });

    for (const release of ['before', 'after']) {
      void test(`passes its suite ${release} the move, on two nodes`, async () => {
        const env = { DATABASE_URL: await createDatabase(), SECRET };
        const nodes = [await open(startNode(releases[release], env)), await open(startNode(releases[release], env))];
        await runSuite(
          releases[release],
          nodes.map(({ url }) => url),
        );
        await closeAll();
      });
    }

    void test('signs nobody out while three nodes change to the new release, under load', async () => {
      const env = { DATABASE_URL: await createDatabase(), SECRET };
      const balancer = await open(Balancer.start());
      const nodes = [];
      for (let index = 0; index < NODES; index++) {
        nodes.push(await open(startNode(releases.before, env)));
        balancer.add(`before-${index}`, nodes[index].url);
      }
      const visitors = [];
      for (let index = 0; index < VISITORS; index++) {
        const browser = new Browser(balancer.url);
        await browser.post('/cart', { item: `item of ${index}` });
        const response = await browser.post('/login', ANN);
        assert.equal(response.status, 303);
        visitors.push({ browser, cart: [`item of ${index}`], looks: 0 });
      }

      const load = startLoad(visitors);
      for (let index = 0; index < NODES; index++) {
        await sleep(1_000);
        const next = await open(startNode(releases.after, env));
        balancer.add(`after-${index}`, next.url);
        await sleep(1_000);
        balancer.remove(`before-${index}`);
        // What it is at work on it ends.
        await sleep(500);
        await nodes[index].stop();
      }
      await sleep(1_000);
      const { looks, wrong } = await load.stop();
      assert.deepEqual(wrong, []);
      assert.ok(looks > 20 * VISITORS, `${looks} requests are no load`);

      // They are sessions of ours by now, and their carts go on.
      assert.equal(await count(env.DATABASE_URL, 'sessions'), VISITORS);
      for (const { browser, cart } of visitors) {
        assert.deepEqual((await browser.post('/cart', { item: 'later' })).json(), { cart: [...cart, 'later'] });
        assert.deepEqual((await browser.get('/profile')).json().cart, [...cart, 'later']);
      }
      console.log(`${platform}: ${looks} requests of ${VISITORS} visitors, 0 log-outs`);
      await closeAll();
    });

    void test('has signed in whom it redirects, at another node, a thousand times', async () => {
      const env = { DATABASE_URL: await createDatabase(), SECRET };
      const urls = [];
      for (let index = 0; index < NODES; index++) urls.push((await open(startNode(releases.after, env))).url);
      let signedIn = 0;
      const lane = async (visits) => {
        for (let visit = 0; visit < visits; visit++) {
          const form = await send(urls[visit % NODES], 'GET', '/login');
          const login = await send(urls[(visit + 1) % NODES], 'POST', '/login', form.cookie, ANN, form.csrfToken);
          const profile = await send(urls[(visit + 2) % NODES], 'GET', login.location, login.cookie);
          if (login.status === 303 && profile.user?.name === ANN.name) signedIn += 1;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, () => lane(SIGN_INS / AT_ONCE)));
      assert.equal(signedIn, SIGN_INS);
      await closeAll();
    });
  });
}

/** Visitors look at their profile again and again. */
function startLoad(visitors) {
  let isOver = false;
  const wrong = [];
  const looking = visitors.map(async (visitor) => {
    while (!isOver) {
      const { status, text, json } = await visitor.browser.get('/profile');
      visitor.looks += 1;
      const isFine = status === 200 && JSON.stringify(json().cart) === JSON.stringify(visitor.cart);
      if (!isFine) wrong.push(`${status} ${text}`);
    }
  });
  return {
    async stop() {
      isOver = true;
      await Promise.all(looking);
      return { looks: visitors.reduce((sum, { looks }) => sum + looks, 0), wrong };
    },
  };
}

/** As the fastest of browsers: it goes where it is sent when it has the head of the response, and does not wait for the rest. */
async function send(url, method, path, cookie = '', body, csrfToken) {
  const response = await fetch(new URL(path, url), {
    method,
    redirect: 'manual',
    headers: {
      cookie,
      ...(body && { 'content-type': 'application/json', 'x-csrf-token': csrfToken }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  const [issued = cookie] = response.headers.getSetCookie();
  const answer = { status: response.status, location: response.headers.get('location'), cookie: issued.split(';')[0] };
  if (response.status === 303) return answer;
  return { ...answer, ...(await response.json()) };
}

let databases = 0;
async function createDatabase() {
  const name = `move_${databases++}`;
  await query(server.url, `CREATE DATABASE ${name}`);
  return Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
}

const count = async (url, table) => Number((await query(url, `SELECT count(*) FROM ${table}`))[0].count);

async function query(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function open(starting) {
  const each = await starting;
  opened.push(each);
  return each;
}

async function closeAll() {
  for (const each of opened.splice(0).toReversed()) await (each.stop ?? each.close).call(each);
}
