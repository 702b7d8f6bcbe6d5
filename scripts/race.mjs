// Real processes on one database race for the same sessions, with each operation of the library; then the same with a
// store that is wrong on purpose (race/node/naive.mjs), which has to be found wrong, or finding nothing means nothing.
//
//   npm run race -- --database postgres|mariadb|sqlite --processes 3 --workers 16 --rounds 50 --json FILE
//
// Each operation is asked for processes x workers x rounds times, over real sockets, at processes that are chosen at
// random. What is true is read from the table at the end, by SQL.
//
//   --seed TEXT  repeats the choices of an earlier run
//   --built      races the library as it was built last, without building it
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { commitOf } from './commit.mjs';
import { closeConnections } from './race/client.mjs';
import { contest } from './race/contest.mjs';
import { complaints } from './race/verdict.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

const { values } = parseArgs({
  options: {
    database: { type: 'string', default: 'postgres' },
    processes: { type: 'string', default: '3' },
    workers: { type: 'string', default: '16' },
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    json: { type: 'string' },
    built: { type: 'boolean', default: false },
  },
});
const { seed } = values;
const [processes, workers, rounds] = ['processes', 'workers', 'rounds'].map(numberOf);
const databases = ['postgres', 'mariadb', 'sqlite'];
if (!databases.includes(values.database)) throw new Error(`--database is one of ${databases.join(', ')}`);

if (!values.built) execFileSync(process.execPath, ['scripts/build-lib.mjs'], { cwd: root, stdio: 'inherit' });
// Imported late: it imports what was built just now.
const { createTables } = await import('./race/tables.mjs');
const { dataSource, entity, start } = await import(`./race/databases/${values.database}.mjs`);

const size = { processes, workers, rounds, seed };
const database = await start();
let library;
let control;
try {
  await createTables(dataSource(database.location), entity);
  library = await contest('library', database, values.database, size);
  control = await contest('naive', database, values.database, size);
} finally {
  closeConnections();
  await database.stop();
}

const found = complaints({
  operations: library.operations,
  wrong: [...library.wrong, ...control.wrong],
  control: control.operations,
  total: processes * workers * rounds,
});
if (values.json) writeFileSync(values.json, `${JSON.stringify(report(), null, 2)}\n`);
console.log(`seed ${seed}; ${rateOf(library)}; control ${rateOf(control)}`);
for (const sentence of found) console.error(sentence);
process.exitCode = found.length > 0 ? 1 : 0;

function report() {
  const { operations, ...load } = library;
  const { operations: controlOperations, ...controlLoad } = control;
  return {
    database: values.database,
    operations,
    control: controlOperations,
    complaints: found,
    date: new Date().toISOString(),
    commit: commitOf(),
    ...size,
    cores: availableParallelism(),
    versions: { [values.database]: database.version, node: process.version },
    load,
    controlLoad,
  };
}

function rateOf({ requests, seconds, requestsPerSecond }) {
  return `${requests} requests in ${seconds} s, ${requestsPerSecond}/s`;
}

function numberOf(name) {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} is a number of 1 or more`);
  return number;
}
