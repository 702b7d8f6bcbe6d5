// The reference application as three processes behind a balancer without stickiness, until Ctrl-C:
//
//   npm run cluster [-- --port 3000 --nodes 3 --engine postgres-failover --verbose]
//
// The page says which node has answered. What may happen is typed: `kill 2`, `start 2`, `stop 2`, `restart` (one after the
// other). The database is an embedded PostgreSQL, that in DATABASE_URL, or with --engine a primary with two standbys, for
// which there are also `kill-primary` and `failover`. The nodes then find the primary by themselves.
//
// PLATFORM is express, fastify, or both in turn: `PLATFORM=express,fastify`.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { ApplicationCluster, migrate } from './cluster/cluster.mjs';
import { PostgresTrio } from './engines/postgres-trio.mjs';
import { startPostgres } from './postgres.mjs';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '3000' },
    nodes: { type: 'string', default: '3' },
    engine: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
const count = Number(values.nodes);
if (!Number.isInteger(count) || count < 1) throw new Error('--nodes is a number of 1 or more');
if (![undefined, 'postgres-failover'].includes(values.engine)) throw new Error('--engine is postgres-failover');

const opened = [];
const end = async () => {
  for (const close of opened.splice(0).reverse()) await close();
  process.exit(0);
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => void end());

await build({ onlyIfChanged: true });
const { databaseUrl, trio } = await openDatabase();
await migrate(databaseUrl);
const cluster = await ApplicationCluster.start({
  databaseUrl,
  count,
  port: Number(values.port),
  platforms: (process.env.PLATFORM ?? 'express').split(','),
  log: values.verbose ? console.log : undefined,
});
opened.push(() => cluster.close());
console.log(`${count} nodes behind ${cluster.url}`);

const COMMANDS = {
  kill: (node) => cluster.killNode(node),
  stop: (node) => cluster.stopNode(node),
  start: (node) => cluster.startNode(node),
  restart: () => cluster.rollingRestart(),
  status: () => status(),
  ...(trio && { 'kill-primary': () => trio.kill(trio.primary), failover: () => trio.failover() }),
};
console.log(`Type kill 2, start 2, stop 2, ${Object.keys(COMMANDS).slice(3).join(', ')}; Ctrl-C ends it.`);
for await (const line of createInterface({ input: process.stdin })) await carryOut(...line.trim().split(/\s+/));
// Where there is no terminal it goes on until it is told to stop.
await new Promise(() => setInterval(() => {}, 2 ** 30));

async function openDatabase() {
  if (values.engine) {
    const started = await PostgresTrio.start({ synchronous: true });
    opened.push(() => started.close());
    return { databaseUrl: [started.url(), ...started.urls.slice(1)].join(' '), trio: started };
  }
  if (process.env.DATABASE_URL) return { databaseUrl: process.env.DATABASE_URL };
  const server = await startPostgres();
  opened.push(() => server.stop());
  return { databaseUrl: server.url };
}

async function carryOut(command, node) {
  if (command === '') return;
  const work = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!work) {
    console.log(Object.keys(COMMANDS).join(', '));
    return;
  }
  const number = Number(node);
  if (work.length > 0 && !(number >= 1 && number <= count)) {
    console.log(`${command} which node?`);
    return;
  }
  const begun = Date.now();
  try {
    await work(number);
    console.log(`${command} ${node ?? ''} done after ${Date.now() - begun} ms`);
  } catch (error) {
    console.log(error.message);
  }
}

async function status() {
  for (let node = 1; node <= count; node++) {
    const requests = cluster.served[`node ${node}`] ?? 0;
    console.log(`node ${node}: ${cluster.isRunning(node) ? 'runs' : 'down'}, ${requests} requests`);
  }
  if (trio) console.log((await trio.status()).join('\n'));
}
