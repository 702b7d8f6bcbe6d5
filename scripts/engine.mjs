// A database with more than one server, on this machine, until Ctrl-C:
//
//   npm run engine -- postgres-failover [--synchronous] [--synced] [--haproxy] [--pgbouncer]
//   npm run engine -- galera [--sync-wait] [--haproxy]
//
// What may happen to it is typed: `kill 1`, `failover`, `rejoin 1`, …; `help` lists it. The servers are those of the
// distribution (engines/programs.mjs), on loopback and on free ports, and nothing stays behind.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { GaleraTrio } from './engines/galera-trio.mjs';
import { HaProxy } from './engines/haproxy.mjs';
import { PgBouncer } from './engines/pgbouncer.mjs';
import { PostgresTrio } from './engines/postgres-trio.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    synchronous: { type: 'boolean', default: false },
    synced: { type: 'boolean', default: false },
    'sync-wait': { type: 'boolean', default: false },
    haproxy: { type: 'boolean', default: false },
    pgbouncer: { type: 'boolean', default: false },
  },
});

const ENGINES = {
  'postgres-failover': {
    start: () => PostgresTrio.start({ synchronous: values.synchronous, synced: values.synced }),
    commands: ['kill', 'freeze', 'thaw', 'stop', 'restart', 'promote', 'failover', 'rejoin', 'status'],
  },
  galera: {
    start: () => GaleraTrio.start({ syncWait: values['sync-wait'] ? 1 : 0 }),
    commands: ['kill', 'freeze', 'thaw', 'stop', 'rejoin', 'bootstrap', 'recover', 'status'],
  },
};
/** Commands that concern no single node. */
const WITHOUT_NODE = ['failover', 'recover', 'status'];

const [name] = positionals;
if (!Object.hasOwn(ENGINES, name ?? '')) {
  console.error(`Name an engine: ${Object.keys(ENGINES).join(', ')}.`);
  process.exit(1);
}
if (values.pgbouncer && name === 'galera') {
  console.error('PgBouncer speaks to PostgreSQL alone.');
  process.exit(1);
}

const opened = [];
const closeAll = async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
};
const end = async () => {
  await closeAll();
  process.exit(0);
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => void end());

const begun = Date.now();
const engine = await open(ENGINES[name].start());
const proxy = values.haproxy && (await open(HaProxy.start(engine)));
const bouncer = values.pgbouncer && (await open(PgBouncer.start((proxy || engine).url())));
console.log(`${name} is ready after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
engine.urls.forEach((url, index) => console.log(`  node ${index + 1}     ${url}`));
if (proxy) console.log(`  HAProxy    ${proxy.url()}`);
if (bouncer) console.log(`  PgBouncer  ${bouncer.url()}`);

const { commands } = ENGINES[name];
console.log(`Type ${commands[0]} 1, or ${commands.slice(1).join(', ')}; Ctrl-C ends it.`);
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...words] = line.trim().split(/\s+/);
  if (command === '') continue;
  if (commands.includes(command)) await carryOut(command, words);
  else console.log(commands.map((each) => `${each}${WITHOUT_NODE.includes(each) ? '' : ' NODE'}`).join('\n'));
}
// Where there is no terminal it goes on until it is told to stop.
await new Promise(() => setInterval(() => {}, 2 ** 30));

async function open(starting) {
  const started = await starting;
  opened.push(started);
  return started;
}

async function carryOut(command, [node, ...words]) {
  const before = Date.now();
  try {
    if (!WITHOUT_NODE.includes(command) && !['1', '2', '3'].includes(node)) throw new Error(`${command} which node?`);
    const result = WITHOUT_NODE.includes(command)
      ? await engine[command]()
      : await engine[command](Number(node), ...words);
    if (Array.isArray(result)) console.log(result.join('\n'));
    console.log(
      `${command} ${node ?? ''} done after ${Date.now() - before} ms${typeof result === 'number' ? `: node ${result}` : ''}`,
    );
  } catch (error) {
    console.log(error.message);
  }
}
