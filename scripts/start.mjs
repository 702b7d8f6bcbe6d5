// `npm start`: builds what has changed, brings the database up to date, and runs the application until it is told to stop.
// With no DATABASE_URL the database is a private PostgreSQL in .data/postgres, which several `npm start` share.
// With --watch it rebuilds and restarts on every change.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { build } from './build.mjs';
import { startPostgres } from './postgres.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const watch = process.argv.includes('--watch');
const env = { ...process.env };
/** Two applications that start at once must not run the same migration twice. */
const migrationLock = 5_432_002;

/** The child that is running at the moment; signals go to it. */
let current;
let stopRequest;

process.on('SIGINT', stop);
process.on('SIGTERM', stop);
process.on('SIGHUP', stop);
stopWithNpm();

let database;
try {
  if (!env.DATABASE_URL) {
    database = await startPostgres({ folder: `${root}.data/postgres` });
    env.DATABASE_URL = database.url;
    console.log(`DATABASE_URL is not set: using a private PostgreSQL in ${database.folder}`);
  }
  process.exitCode = await run();
} catch (error) {
  // A connection that is refused on every address of a name has no message.
  console.error(stopRequest ? 'Stopped.' : error.message || String(error.code));
  process.exitCode = stopRequest ? 0 : 1;
} finally {
  await database?.stop();
}

async function run() {
  await step(() => build({ onlyIfChanged: true, onChild: (child) => (current = child) }));
  await step(migrate);
  return step(serve);
}

async function step(work) {
  if (stopRequest) throw new Error('stopped');
  return work();
}

async function migrate() {
  const lock = new pg.Client({ connectionString: env.DATABASE_URL });
  await lock.connect();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    const output = [];
    const command = ['node_modules/typeorm/cli.js', 'migration:run', '-d', 'dist/ormconfig.js'];
    const code = await node(command, ['ignore', 'pipe', 'pipe'], (text) => output.push(text));
    if (code !== 0) throw new Error(`the migrations failed\n${output.join('')}`);
    // It also prints every statement.
    for (const line of output.join('').split('\n')) if (/executed successfully/.test(line)) console.log(line);
  } finally {
    await lock.end();
  }
}

function serve() {
  const program = watch
    ? ['node_modules/@nestjs/cli/bin/nest.js', 'start', '--watch', '--no-shell']
    : ['dist/src/main.js'];
  return node(['--import', './scripts/exit-with-parent.mjs', ...program], ['inherit', 'inherit', 'inherit', 'ipc']);
}

/** @returns {Promise<number>} the exit code; 0 as well when it ended by the signal that we were sent */
async function node(args, stdio, onOutput) {
  // A process group of its own, like the build's: a Ctrl-C in the terminal reaches it through us, once, and not from all
  // sides.
  current = spawn(process.execPath, args, { cwd: root, env, stdio, detached: true });
  for (const output of [current.stdout, current.stderr]) output?.setEncoding('utf8').on('data', onOutput);
  const [code, signal] = await once(current, 'close');
  return code ?? (signal === stopRequest?.signal ? 0 : 1);
}

/** Passes the first request on. npm sends us a second signal for the same Ctrl-C; one that comes later means it. */
function stop(signal) {
  const again = stopRequest && Date.now() - stopRequest.time > 1000;
  if (stopRequest && !again) return;
  stopRequest ??= { signal, time: Date.now() };
  if (!current || current.exitCode !== null || current.signalCode !== null) return;
  if (again) process.kill(-current.pid, 'SIGKILL');
  else current.kill(signal);
}

/** npm forwards signals to us, but when it is killed with SIGKILL, nothing tells us except that our parent changes. */
function stopWithNpm() {
  if (!process.env.npm_lifecycle_event?.startsWith('start')) return;
  const npm = process.ppid;
  setInterval(() => {
    if (process.ppid !== npm) stop('SIGTERM');
  }, 500).unref();
}
