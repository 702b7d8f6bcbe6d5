// Real processes of an application, clients that remember what they were told, and a schedule of faults; then a checker
// compares all that was answered with what was read later, and with the rows that are there at the end. Before it, the
// same checker looks at applications that are wrong on purpose (chaos/node/defects.mjs), or finding nothing means nothing.
//
//   npm run chaos -- --database postgres|postgres-failover|galera|sqlite --seconds 120 --json FILE
//
//   --processes 3 --clients 24   of the application, and how many visitors it has
//   --rate 400                   things a second that they try to do, some of them with several requests
//   --faults a,b                 these alone; --list names them
//   --expired 10000              rows that the sweep has to remove
//   --full                       200 clients, 10 minutes, a million expired rows (Galera: 100 000), unless told otherwise
//   --asynchronous               (postgres-failover) no commit waits for a standby: a failover may lose some, which are counted
//   --defect NAME                the application is wrong in this way, and the run has to fail
//   --controls, --no-controls    only the defects one after the other, or none of them
//   --seed TEXT                  repeats the choices of an earlier run; when requests meet is the machine's choice
//   --built                      takes the library as it was built last
//   --docs                       runs nothing, and writes the results in docs/results into docs/reliability.md
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chaosResults, withChaosTable } from './chaos/table.mjs';
import { missedControls, complaints } from './chaos/verdict.mjs';
import { commitOf } from './commit.mjs';
import { closeConnections } from './race/client.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const DATABASES = ['postgres', 'postgres-failover', 'galera', 'sqlite'];
const CONTROL_SECONDS = 5;

const { values } = parseArgs({
  allowNegative: true,
  options: {
    database: { type: 'string', default: 'postgres' },
    processes: { type: 'string', default: '3' },
    clients: { type: 'string' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
    expired: { type: 'string' },
    full: { type: 'boolean', default: false },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    faults: { type: 'string' },
    list: { type: 'boolean', default: false },
    asynchronous: { type: 'boolean', default: false },
    defect: { type: 'string' },
    controls: { type: 'boolean' },
    json: { type: 'string' },
    docs: { type: 'boolean', default: false },
    built: { type: 'boolean', default: false },
  },
});
if (values.docs) {
  writeDocument();
  process.exit();
}
const usual = values.full
  ? // A million rows are written, and swept, by all three servers of Galera: on two cores that is most of the ten minutes.
    { clients: 200, rate: 800, seconds: 600, expired: values.database === 'galera' ? 100_000 : 1_000_000 }
  : { clients: 24, rate: 400, seconds: 120, expired: 10_000 };
const numberOf = (name) => {
  const number = Number(values[name] ?? usual[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} is a number of 1 or more`);
  return number;
};
const size = Object.fromEntries(
  ['processes', 'clients', 'rate', 'seconds', 'expired'].map((name) => [name, numberOf(name)]),
);
const { seed, asynchronous } = values;
if (!DATABASES.includes(values.database)) throw new Error(`--database is one of ${DATABASES.join(', ')}`);

if (!values.built) execFileSync(process.execPath, ['scripts/build-lib.mjs'], { cwd: root, stdio: 'inherit' });
// Imported late: they import what was built just now.
const { createSessions } = await import('./race/tables.mjs');
const { campaign } = await import('./chaos/campaign.mjs');
const { seesVersions } = await import('./chaos/databases/audit-triggers.mjs');
const { defects } = await import('./chaos/node/defects.mjs');
const { applicationFaults, skippedFaults } = await import('./chaos/faults/application.mjs');
const { start } = await import(`./chaos/databases/${values.database}.mjs`);
if (values.defect !== undefined && !defects.includes(values.defect)) {
  throw new Error(`--defect is one of ${defects.join(', ')}`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
const database = await start({ asynchronous });
const found = [];
try {
  const faults = chosenFaults();
  if (values.list) console.log(Object.keys(faults).join('\n'));
  else await run(faults);
} finally {
  closeConnections();
  await database.stop();
}
for (const sentence of found) console.error(sentence);
process.exitCode = found.length > 0 ? 1 : 0;

function writeDocument() {
  const path = join(root, 'docs/reliability.md');
  writeFileSync(path, withChaosTable(readFileSync(path, 'utf8'), chaosResults(join(root, 'docs/results'))));
}

function chosenFaults() {
  const skipped = skippedFaults(database);
  for (const [name, why] of Object.entries(skipped)) console.log(`${name} is left out: ${why}`);
  const possible = Object.entries({ ...applicationFaults, ...database.faults }).filter(([name]) => !(name in skipped));
  const all = [...possible, ...Object.entries(database.lossy ?? {})];
  const wanted = values.faults?.split(',').filter(Boolean);
  const unknown = wanted?.find((name) => !all.some(([other]) => other === name));
  if (unknown) throw new Error(`there is no fault ${unknown}; there are ${all.map(([name]) => name).join(', ')}`);
  return Object.fromEntries(wanted ? all.filter(([name]) => wanted.includes(name)) : possible);
}

async function run(faults) {
  const { dataSource, entity } = await import(`./race/databases/${database.family}.mjs`);
  await createSessions(dataSource(database.location), entity);
  await database.watch();
  const version = await database.version();
  console.log(`${values.database} ${version}, seed ${seed}`);
  const controlDetected = values.controls === false || values.defect !== undefined ? undefined : await controls();
  if (controlDetected) found.push(...missedControls(controlDetected));
  if (values.controls === true) return;

  const date = new Date().toISOString();
  const result = await campaign(database, { ...size, seed, faults, defect: values.defect, tell: console.log });
  found.push(...complaints(result, { asynchronous }));
  summarize(result);
  if (values.json)
    writeFileSync(values.json, `${JSON.stringify(report(result, { date, version, controlDetected }), null, 2)}\n`);
}

/** @returns {Promise<Record<string, number>>} how often each planted defect was found, by its name */
async function controls() {
  const detected = {};
  for (const defect of defects.filter((name) => name !== 'versionJumps' || seesVersions(database.family))) {
    const options = { processes: 2, clients: 12, rate: 400, seconds: CONTROL_SECONDS, expired: 0 };
    const result = await campaign(database, { ...options, seed, faults: {}, defect, tell: () => {} });
    detected[defect] = result[defect];
    console.log(`control: ${defect} was planted, and found ${result[defect]} times`);
    await database.forget();
  }
  return detected;
}

function report(result, { date, version, controlDetected }) {
  const { acknowledged, lost, duplicated, resurrected, servedExpired, crossed, unknown, refusals, ...rest } = result;
  const { longestGapMs, p99CalmMs, p99FaultMs, wrong, sentences, ...more } = rest;
  return {
    database: values.database,
    ...(values.database === 'postgres-failover' && { asynchronous }),
    seed,
    acknowledged,
    lost,
    duplicated,
    resurrected,
    servedExpired,
    crossed,
    unknown,
    refusals,
    longestGapMs,
    p99CalmMs,
    p99FaultMs,
    controlDetected,
    complaints: found,
    date,
    commit: commitOf(),
    cores: availableParallelism(),
    versions: { [values.database]: version, node: process.version },
    ...size,
    ...more,
    wrong: wrong.slice(0, 20),
    sentences,
  };
}

function summarize(result) {
  const { acknowledged, lost, stale, vanished, duplicated, resurrected, servedExpired, crossed, unknown, refused } =
    result;
  const seconds = `${result.seconds} s, ${Math.round(acknowledged / result.seconds)} a second`;
  console.log(`acknowledged ${acknowledged} (${seconds}) in ${result.sessions} sessions`);
  console.log(
    Object.entries({ lost, stale, vanished, duplicated, resurrected, servedExpired, crossed })
      .map(([harm, count]) => `${harm} ${count}`)
      .join(', '),
  );
  console.log(`refused ${refused}, unknown ${unknown}: ${JSON.stringify(result.refusals)}`);
  console.log(
    `calm: ${result.calmRefused} of ${result.calmRequests} not answered well; p99 ${result.p99CalmMs} ms, in faults ${result.p99FaultMs} ms; longest gap ${result.longestGapMs} ms`,
  );
  const slowest = result.recoveries.reduce((late, each) => (each.ms > late.ms ? each : late), { ms: 0 });
  if (slowest.fault) console.log(`the longest recovery took ${slowest.ms} ms, after ${slowest.fault}`);
  console.log(`memory in MB at the beginning ${rss(result.memory.begin)}, at the end ${rss(result.memory.end)}`);
}

function rss(members) {
  return members.map(({ rssMb }) => rssMb).join(', ');
}
