// A real browser shops at the cluster page while a node of the application is killed and the database fails over.
//
//   npm ci --prefix test/browser && npm run test:browser
//
// The browser is the machine's: CHROMIUM, or a `chromium` or `google-chrome` that is found.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from '../../scripts/build.mjs';
import { ApplicationCluster, migrate } from '../../scripts/cluster/cluster.mjs';
import { HaProxy } from '../../scripts/engines/haproxy.mjs';
import { PostgresTrio } from '../../scripts/engines/postgres-trio.mjs';
import { findProgram } from '../../scripts/engines/programs.mjs';

/** It is installed here and not with the project, which needs it for nothing else. */
const library = 'playwright-core';
const { chromium } = createRequire(import.meta.url)(library);

const patience = 20_000;
/** Nothing that it would fetch by itself, and no sandbox, which root cannot have. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const opened = [];
let trio;
let cluster;
let page;
/** What the visitor was shown with every page that came, error pages apart. */
const shown = [];

before(async () => {
  await build({ onlyIfChanged: true });
  trio = await open(PostgresTrio.start({ synchronous: true }));
  const proxy = await open(HaProxy.start(trio));
  await migrate(proxy.url());
  cluster = await open(ApplicationCluster.start({ databaseUrl: proxy.url(), platforms: ['express', 'fastify'] }));
  const executablePath = process.env.CHROMIUM ?? ['chromium', 'google-chrome'].map(findProgram).find(Boolean);
  if (!executablePath) throw new Error('there is no chromium. On Debian: apt install chromium');
  const browser = await open(chromium.launch({ executablePath, args: FLAGS }));
  page = await browser.newPage({ baseURL: cluster.url });
  page.setDefaultTimeout(patience);
});

after(async () => {
  for (const each of opened.toReversed()) await each.close();
});

await test('signs in, fills the cart, and goes on through the death of a node and of the database', async () => {
  await visit();
  await page.getByLabel('Name').fill('Ann');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Signed in as').waitFor();
  await buy('Assam', 1);
  await buy('Sencha', 2);

  const node = await answeredBy();
  await cluster.killNode(node);
  await buy('Assam', 2);
  await buy('Darjeeling', 1);
  assert.equal(cluster.isRunning(node), false);

  const begun = Date.now();
  const old = trio.primary;
  await trio.kill(old);
  // What a visitor sees while there is no database: an error, and not a page for strangers.
  const response = await page.goto('/');
  assert.equal(response.status(), 503);
  await trio.failover();
  assert.notEqual(trio.primary, old);
  await visit();
  console.log(`a good page ${Date.now() - begun} ms after the primary died, by the hand of a visitor who reloads`);
  await buy('Sencha', 1);

  await cluster.startNode(node);
  await trio.rejoin(old);
  await visit();
  assert.deepEqual(await cart(), { assam: 3, sencha: 3, darjeeling: 1 });
  assert.ok(shown.length >= 8);
  assert.deepEqual(new Set(shown.slice(1)), new Set(['Signed in as Ann']));
});

/** As a visitor does it: where there is an error, once more. */
async function visit() {
  const deadline = Date.now() + patience;
  for (;;) {
    const response = await page.goto('/');
    if (response.ok()) break;
    assert.ok([502, 503].includes(response.status()), `the page is ${response.status()}`);
    assert.ok(Date.now() < deadline, 'the page does not come back');
    await sleep(200);
  }
  shown.push(
    (await page.getByText('Signed in as').count()) > 0
      ? await page.locator('form span').first().innerText()
      : 'stranger',
  );
}

/** Adds to the cart. An answer that is an error may have been carried out: the visitor looks before doing it again. */
async function buy(name, quantity) {
  await visit();
  const sku = name.toLowerCase();
  const wanted = ((await cart())[sku] ?? 0) + quantity;
  for (;;) {
    const product = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name }) });
    await product.getByLabel('Packs').fill(String(quantity));
    const [answer] = await Promise.all([
      page.waitForNavigation(),
      product.getByRole('button', { name: 'Add' }).click(),
    ]);
    if (!answer?.ok()) await visit();
    const now = (await cart())[sku] ?? 0;
    if (now === wanted) return;
    assert.equal(now, wanted - quantity);
  }
}

async function cart() {
  const rows = await page.locator('ul.cart li').allInnerTexts();
  return Object.fromEntries(
    rows.map((row) => row.trim().split(/\s+/)).map(([sku, quantity]) => [sku, Number(quantity)]),
  );
}

/** @returns {Promise<number>} of the node that has made the page */
async function answeredBy() {
  return Number(/served by node (\d)/.exec(await page.locator('footer').innerText())[1]);
}

async function open(starting) {
  const started = await starting;
  opened.push(started);
  return started;
}
