// The server process of a cluster, which runs for as long as somebody uses it, and not as anybody's child.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { launch as launchServer } from '../server/launch.mjs';
import { isAlive, signalProcess, until } from '../server/process.mjs';

const stopDeadline = 20_000;

export const dataOf = (folder) => join(folder, 'data');
const pidFile = (folder) => join(dataOf(folder), 'postmaster.pid');

/** Starts the server and waits until it accepts connections. @returns {Promise<number>} its process id */
export async function launch(folder, native, account, { port, ...settings }) {
  const server = await launchServer({
    program: join(native, 'bin', 'postgres'),
    flags: (onPort) => ['-D', dataOf(folder), ...settingFlags({ ...settings, port: onPort })],
    folder,
    account,
    port,
    portTaken: 'could not create any TCP/IP sockets',
    isReady: (pid) => runningServer(folder)?.ready && runningServer(folder).pid === pid,
  });
  return server.pid;
}

const settingFlags = (settings) => Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

/** Ends the server and waits for it, with rising emphasis. */
export async function stop(folder, signal) {
  const server = runningServer(folder);
  if (!server) return;
  for (const next of [signal, 'SIGQUIT', 'SIGKILL']) {
    signalProcess(server.pid, next);
    if (await until(() => runningServer(folder)?.pid !== server.pid, stopDeadline)) break;
  }
  // Its file goes just before it does. Not for long, since a zombie that nobody waits for counts as alive.
  await until(() => !isAlive(server.pid), 1000);
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
  if (!pid || !isAlive(pid)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
}

/** For a postmaster.pid that a crash left behind: PostgreSQL itself trusts it when any process has that id now. */
export function forgetServer(folder, { pid }) {
  const now = runningServer(folder);
  if (now?.ready && now.pid === pid) fs.rmSync(pidFile(folder), { force: true });
}
