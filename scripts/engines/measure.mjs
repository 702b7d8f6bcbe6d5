// What a visitor sees of the failures of a clustered database, and what is left of what was acknowledged: the figures of
// docs/clustering.md. The reference application runs on each engine, and visitors add to their carts without a pause.
//
//   node scripts/engines/measure.mjs [--json FILE]
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import mysql from 'mysql2/promise';
import { build } from '../build.mjs';
import { ApplicationCluster, migrate } from '../cluster/cluster.mjs';
import { GaleraTrio } from './galera-trio.mjs';
import { HaProxy } from './haproxy.mjs';
import { PostgresTrio } from './postgres-trio.mjs';

const { values } = parseArgs({ options: { json: { type: 'string' } } });
const visitors = 4;

await build({ onlyIfChanged: true });
const results = {
  date: new Date().toISOString(),
  commit: execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], {
    encoding: 'utf8',
  }).trim(),
  cores: availableParallelism(),
  load: loadavg()[0],
  visitors,
  versions: { node: process.version },
  postgres: [],
  galera: {},
};
for (const synchronous of [false, true]) {
  for (const way of ['haproxy', 'client']) {
    for (const event of ['crash', 'hang']) results.postgres.push(await postgres({ synchronous, way, event }));
  }
}
results.galera = await galera();
results.loadAtTheEnd = loadavg()[0];
console.log(JSON.stringify(results, null, 2));
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);

/** The primary crashes, or hangs and comes back after another was promoted. */
async function postgres({ synchronous, way, event }) {
  const begun = performance.now();
  const trio = await PostgresTrio.start({ synchronous, synced: true });
  const startMs = since(begun);
  const proxy = way === 'haproxy' && (await HaProxy.start(trio));
  results.versions.postgres ??= (await trio.query('SHOW server_version'))[0].server_version;
  const databaseUrl = proxy ? proxy.url() : trio.urls.join(' ');
  await migrate(trio.url());
  const cluster = await ApplicationCluster.start({ databaseUrl, count: 2, platforms: ['express', 'fastify'] });
  try {
    let promoteMs;
    const seen = await shopWhile(cluster, async () => {
      const old = trio.primary;
      if (event === 'crash') await trio.kill(old);
      else trio.freeze(old);
      const ordered = performance.now();
      await trio.failover();
      promoteMs = since(ordered);
      if (event === 'hang') {
        await sleep(1000);
        trio.thaw(old);
      }
      await sleep(4000);
    });
    const kept = await trio.query(`SELECT id, (data->'cart'->0->>'quantity')::int AS quantity FROM sessions`);
    return { synchronous, way, event, startMs, promoteMs, ...compare(seen, kept) };
  } finally {
    await cluster.close();
    if (proxy) await proxy.close();
    await trio.close();
  }
}

async function galera() {
  const stale = {};
  for (const syncWait of [0, 1]) {
    const trio = await GaleraTrio.start({ syncWait });
    stale[`wsrep_sync_wait=${syncWait}`] = await staleReads(trio, 300);
    await trio.close();
  }
  const begun = performance.now();
  const trio = await GaleraTrio.start({ syncWait: 1 });
  const startMs = since(begun);
  results.versions.mariadb = (await trio.query('SELECT version() AS version'))[0].version;
  try {
    await trio.kill(3);
    const killed = performance.now();
    await trio.query('CREATE DATABASE gap');
    const writeAfterKillMs = since(killed);
    const rejoined = performance.now();
    await trio.rejoin(3);
    const rejoinMs = since(rejoined);
    await Promise.all([1, 2, 3].map((node) => trio.kill(node)));
    const recovered = performance.now();
    await trio.recover();
    return { startMs, stale, writeAfterKillMs, rejoinMs, recoverMs: since(recovered) };
  } finally {
    await trio.close();
  }
}

/** Reads on another node what one has just acknowledged. */
async function staleReads(trio, count) {
  const [writer, reader] = await Promise.all([1, 2].map((node) => mysql.createConnection(trio.url(node))));
  await writer.query('CREATE TABLE written (id INT PRIMARY KEY)');
  let stale = 0;
  for (let id = 0; id < count; id++) {
    await writer.query('INSERT INTO written VALUES (?)', [id]);
    const [rows] = await reader.query('SELECT id FROM written WHERE id = ?', [id]);
    if (rows.length === 0) stale += 1;
  }
  writer.destroy();
  reader.destroy();
  return { stale, of: count };
}

/** Each visitor adds one pack after the other, with a second of calm before. */
async function shopWhile(cluster, happening) {
  const carts = await Promise.all(
    Array.from({ length: visitors }, (_, index) => signIn(cluster.url, `Visitor ${index}`)),
  );
  let isOver = false;
  const shop = async (cart) => {
    let last = performance.now();
    while (!isOver) {
      const { status, code } = await add(cluster.url, cart.cookie);
      if (status === 201) {
        cart.acknowledged += 1;
        cart.longestGapMs = Math.max(cart.longestGapMs, since(last));
        last = performance.now();
        continue;
      }
      if (![502, 503].includes(status)) cart.others.push(`${status} ${code}`);
      cart[code === 'SESSION_UNAVAILABLE' ? 'refused' : 'unknown'] += 1;
      await sleep(20);
    }
  };
  const shopping = Promise.all(carts.map(shop));
  await sleep(1000);
  await happening();
  isOver = true;
  await shopping;
  return carts;
}

function compare(carts, kept) {
  const quantities = new Map(kept.map(({ id, quantity }) => [id, quantity ?? 0]));
  const sum = (of) => carts.reduce((total, cart) => total + of(cart), 0);
  const quantityOf = ({ id }) => quantities.get(id) ?? 0;
  return {
    acknowledged: sum((cart) => cart.acknowledged),
    lost: sum((cart) => Math.max(0, cart.acknowledged - quantityOf(cart))),
    tooMany: sum((cart) => Math.max(0, quantityOf(cart) - cart.acknowledged - cart.unknown)),
    refused: sum((cart) => cart.refused),
    unknown: sum((cart) => cart.unknown),
    others: carts.flatMap(({ others }) => others),
    longestGapMs: Math.max(...carts.map(({ longestGapMs }) => longestGapMs)),
  };
}

async function signIn(url, name) {
  const response = await post(`${url}/api/sign-in`, { name });
  const cookie = response.headers.getSetCookie()[0].split(';')[0];
  const { sessionId: id } = await response.json();
  return { id, cookie, acknowledged: 0, refused: 0, unknown: 0, others: [], longestGapMs: 0 };
}

async function add(url, cookie) {
  const response = await post(`${url}/api/cart`, { sku: 'assam', quantity: 1 }, cookie);
  const body = await response.json();
  return { status: response.status, code: body.code };
}

function post(url, body, cookie) {
  const headers = { 'content-type': 'application/json', ...(cookie && { cookie }) };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

function since(begun) {
  return Math.round(performance.now() - begun);
}
