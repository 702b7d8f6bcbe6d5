// Runs `npm start` twice, as the README says, and walks through a visit over both processes: what a newcomer would do
// with curl. Ends with Ctrl-C, and once with kill -9, and looks whether anything stayed behind.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

const root = fileURLToPath(new URL('..', import.meta.url));
const nodes = [];

try {
  nodes.push(await start({ PORT: '3411', PLATFORM: 'express' }));
  nodes.push(await start({ PORT: '3412', PLATFORM: 'fastify' }));
  await visit(...nodes.map(({ url }) => url));
  console.log('one visit over two processes, Express and Fastify, on one database: as the README says');
} finally {
  for (const { child } of nodes) await interrupt(child);
}
await nothingLeft('Ctrl-C');

signalGroup((await start({ PORT: '3413' })).child, 'SIGKILL');
await nothingLeft('kill -9');

/** The processes of this checkout, the application's and the database's, have ended within ten seconds. */
async function nothingLeft(after) {
  let left = [];
  for (let attempt = 0; attempt < 100; attempt++) {
    left = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n').filter(isOurs);
    if (left.length === 0) {
      console.log(`${after} left nothing behind`);
      return;
    }
    await delay(100);
  }
  throw new Error(`${after} left behind:\n${left.join('\n')}`);
}

function isOurs(line) {
  return line.includes(`${root}dist/`) || line.includes(`${root}.data/`);
}

async function start(variables) {
  // A process group of its own, so that Ctrl-C can be given to all of it, as a terminal does.
  const child = spawn('npm', ['start'], {
    cwd: root,
    detached: true,
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const [, url] = /listening on (http:\S+)/.exec(line) ?? [];
    if (!url) continue;
    child.stdout.resume();
    return { child, url };
  }
  throw new Error(`npm start ended without listening: ${JSON.stringify(variables)}`);
}

/** As a terminal does it: to npm, and to what npm has started. */
function signalGroup(child, signal) {
  process.kill(-(child.pid ?? 0), signal);
}

async function interrupt(child) {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  signalGroup(child, 'SIGINT');
  const [code] = await exited;
  check('exit code after Ctrl-C', code, 0);
}

async function visit(express, fastify) {
  let cookie = '';
  const call = async (base, method, path, body) => {
    const headers = { ...(cookie && { cookie }), ...(body && { 'content-type': 'application/json' }) };
    const response = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
    const [line] = response.headers.getSetCookie();
    if (line) cookie = line.split(';')[0];
    return { status: response.status, line, body: response.status === 204 ? undefined : await response.json() };
  };

  check('first GET sets no cookie', (await call(express, 'GET', '/api/me')).line, undefined);
  const rows = await countRows();
  await call(express, 'GET', '/api/cart');
  check('and makes no row', await countRows(), rows);

  await call(express, 'POST', '/api/cart', { sku: 'tea', quantity: 2 });
  check('a POST that stores sets the cookie', cookie.startsWith('sid='), true);
  check('and makes a row', await countRows(), rows + 1);
  const { body: cart } = await call(fastify, 'GET', '/api/cart');
  check('the other process reads it', cart, [{ sku: 'tea', quantity: 2 }]);

  const { body: before } = await call(fastify, 'GET', '/api/me');
  const old = cookie;
  await call(fastify, 'POST', '/api/sign-in', { name: 'Ann' });
  check('sign-in changes the token', cookie === old, false);
  const { body: after } = await call(express, 'GET', '/api/me');
  check('and keeps the id', [after.sessionId, after.name], [before.sessionId, 'Ann']);
  const young = cookie;
  cookie = old;
  check('the old cookie is anonymous', (await call(express, 'GET', '/api/me')).body.signedIn, false);
  cookie = young;
  const { line } = await call(express, 'POST', '/api/sign-out');
  check('sign-out removes the cookie', /^sid=; .*Max-Age=0/.test(line), true);
  check('and the row', await countRows(), rows);
}

async function countRows() {
  const client = new pg.Client({ connectionString: await databaseUrl() });
  await client.connect();
  try {
    return Number((await client.query('SELECT count(*) FROM sessions')).rows[0].count);
  } finally {
    await client.end();
  }
}

/** The private database of the checkout is joined like a third `npm start` would. */
async function databaseUrl() {
  if (process.env.DATABASE_URL) return process.env.DATABASE_URL;
  const { startPostgres } = await import('./postgres.mjs');
  const database = await startPostgres({ folder: `${root}.data/postgres` });
  await database.stop();
  return database.url;
}

function check(what, actual, wanted) {
  if (JSON.stringify(actual) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(wanted)}`);
  }
}
