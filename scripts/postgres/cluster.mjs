// The clusters that a guardian runs. A cluster is a folder:
//
//   data/        PostgreSQL's own
//   password     of the superuser, mode 0600. Random and not fixed: the server listens on TCP, where every account of
//                this machine can reach it.
//   server.log
//   native/      a copy of the binaries, only where those in node_modules cannot be used in place
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { moveUnlessThere } from '../move-unless-there.mjs';
import { canEnter, give, publicTmp, serverAccount } from '../server/account.mjs';
import { serverEnv } from '../server/launch.mjs';
import { usableBinaries } from './binaries.mjs';
import { dataOf, launch, runningServer, stop } from './server.mjs';
import { becomeUser, ifLastUser } from './users.mjs';

const joinDeadline = 60_000;
const accounts = ['postgres', 'nobody'];

const durable = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: 200 };
const disposable = { ...durable, fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/** A cluster of our own, which is gone after `leave()`. `synced`: what it has acknowledged is on the disk until then. */
export async function startTemporaryCluster({ port, synced = false, settings = {} } = {}) {
  const account = serverAccount(accounts);
  const folder = fs.mkdtempSync(join(publicTmp(account), 'session-postgres-'));
  const leave = async () => {
    await stop(folder, 'SIGQUIT');
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    give(folder, account);
    const native = await usableBinaries(folder, account);
    initialize(folder, native, account, ['--no-sync']);
    const pid = await launch(folder, native, account, { ...(synced ? durable : disposable), ...settings, port });
    return { folder, pid, url: urlOf(folder), leave };
  } catch (error) {
    await leave();
    throw error;
  }
}

/** The cluster in this folder: made where there is none, started where it is not running. */
export async function joinCluster(wantedFolder, { port } = {}) {
  const account = serverAccount(accounts);
  const folder = reachableFolder(resolve(wantedFolder), account);
  const deadline = Date.now() + joinDeadline;
  while (Date.now() < deadline) {
    checkOwner(folder, account);
    const user = runningServer(folder)?.ready && (await becomeUser(folder, urlOf(folder)));
    if (user)
      return { folder, pid: runningServer(folder).pid, url: urlOf(folder), leave: () => leaveShared(folder, user) };
    if (runningServer(folder)) {
      // On its way up or down.
      await sleep(100);
      continue;
    }
    if (!fs.existsSync(dataOf(folder))) await createCluster(folder, account);
    await launch(folder, await usableBinaries(folder, account), account, { ...durable, port }).catch((error) => {
      // Somebody else was quicker, and PostgreSQL lets only one server into a data folder.
      if (!runningServer(folder)) throw error;
    });
  }
  throw new Error(`the server in ${folder} neither starts nor stops; its log is server.log there`);
}

async function leaveShared(folder, user) {
  // Our own lock goes first: two that leave together would otherwise see each other, and both leave the server running.
  await user.end().catch(() => {});
  if (runningServer(folder)?.ready) await ifLastUser(folder, urlOf(folder), () => stop(folder, 'SIGINT'));
}

/** In a folder beside it, moved into place when it is whole: a crash leaves no half cluster. */
async function createCluster(folder, account) {
  const draft = fs.mkdtempSync(`${folder}.new-`);
  try {
    give(draft, account);
    initialize(draft, await usableBinaries(draft, account), account, []);
    moveUnlessThere(draft, folder);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

function initialize(folder, native, account, flags) {
  const password = join(folder, 'password');
  fs.writeFileSync(password, randomBytes(24).toString('base64url'), { mode: 0o600 });
  give(password, account);
  const where = ['-D', dataOf(folder), '-U', 'postgres', `--pwfile=${password}`];
  const what = ['-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions'];
  execFileSync(join(native, 'bin', 'initdb'), [...where, ...what, ...flags], {
    ...account,
    env: serverEnv(),
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

function urlOf(folder) {
  const password = fs.readFileSync(join(folder, 'password'), 'utf8');
  return `postgres://postgres:${password}@127.0.0.1:${runningServer(folder)?.port}/postgres`;
}

/** Where a persistent cluster can be: the wanted folder or, if the server's account has no way into it, another. */
function reachableFolder(wanted, account) {
  fs.mkdirSync(dirname(wanted), { recursive: true });
  if (canEnter(dirname(wanted), account)) return wanted;
  const name = `session-postgres-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`;
  return join(canEnter('/var/tmp', account) ? '/var/tmp' : publicTmp(account), name);
}

/** In a public folder anybody could have put something in its place. */
function checkOwner(folder, account) {
  const found = fs.lstatSync(folder, { throwIfNoEntry: false });
  const owner = account.uid ?? process.getuid?.();
  if (!found || owner === undefined || (found.isDirectory() && found.uid === owner)) return;
  throw new Error(`${folder} belongs to another account. Remove it, or set DATABASE_URL`);
}
