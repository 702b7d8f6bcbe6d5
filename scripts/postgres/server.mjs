// The server process of a cluster, which runs for as long as somebody uses it, and not as anybody's child.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const startDeadline = 60_000;
const stopDeadline = 20_000;

export const dataOf = (folder) => join(folder, 'data');
const pidFile = (folder) => join(dataOf(folder), 'postmaster.pid');

/** Messages in English, whatever the machine speaks. */
export const serverEnv = () => ({ ...process.env, LC_ALL: 'C' });

/** Starts the server and waits until it accepts connections. @returns {Promise<number>} its process id */
export async function launch(folder, native, account, { port, ...settings }) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await launchOn(port ?? (await freePort()), folder, native, account, settings);
    } catch (error) {
      const portTaken = error.message.includes('could not create any TCP/IP sockets');
      // A free port is only free until somebody else takes it.
      if (port !== undefined || !portTaken || attempt === 3) throw error;
    }
  }
}

async function launchOn(port, folder, native, account, settings) {
  const log = join(folder, 'server.log');
  const output = fs.openSync(log, 'a', 0o600);
  const logStart = fs.fstatSync(output).size;
  const flags = Object.entries({ ...settings, port }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(join(native, 'bin', 'postgres'), ['-D', dataOf(folder), ...flags], {
    ...account,
    env: serverEnv(),
    cwd: folder,
    // Users that come later need it when we are gone.
    detached: true,
    stdio: ['ignore', output, output],
  });
  fs.closeSync(output);
  server.unref();
  let failure;
  server.once('error', (error) => (failure = error.message));
  server.once('exit', (code) => (failure = `postgres exited with ${code}\n${tail(log, logStart)}`));
  const isReady = () => runningServer(folder)?.ready && runningServer(folder).pid === server.pid;
  await until(() => failure || isReady(), startDeadline);
  if (isReady()) return server.pid;
  server.kill('SIGKILL');
  throw new Error(failure ?? `postgres does not get ready\n${tail(log, logStart)}`);
}

const tail = (file, start) => fs.readFileSync(file).subarray(start).toString();

/** Ends the server and waits for it, with rising emphasis. */
export async function stop(folder, signal) {
  const server = runningServer(folder);
  if (!server) return;
  for (const next of [signal, 'SIGQUIT', 'SIGKILL']) {
    signalProcess(server.pid, next);
    if (await until(() => runningServer(folder)?.pid !== server.pid, stopDeadline)) break;
  }
  // Its file goes just before it does. Not for long, since a zombie that nobody waits for counts as alive.
  await until(() => !signalProcess(server.pid, 0), 1000);
}

async function until(condition, timeout) {
  const deadline = Date.now() + timeout;
  while (Date.now() < deadline) {
    if (condition()) return true;
    await sleep(10);
  }
  return false;
}

/**
 * What postmaster.pid says, as long as its process lives.
 * The lines are listed in PostgreSQL's src/include/utils/pidfile.h.
 */
export function runningServer(folder) {
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

/** For a postmaster.pid that a crash left behind: PostgreSQL itself trusts it when any process has that id now. */
export function forgetServer(folder, { pid }) {
  const now = runningServer(folder);
  if (now?.ready && now.pid === pid) fs.rmSync(pidFile(folder), { force: true });
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
