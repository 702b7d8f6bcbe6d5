// A server and the processes that it has started. Killing the first alone is no crash of a machine: a busy backend of
// PostgreSQL goes on for as long as its statement takes, and its server cannot start again meanwhile.
import { execFileSync } from 'node:child_process';
import { isAlive, signalProcess, until } from '../server/process.mjs';

/** Kills a process and all below it at once, and waits until they are gone. */
export async function killTree(pid) {
  // Stopped first, so that it starts no other while we look.
  if (!signalProcess(pid, 'SIGSTOP')) return;
  const all = [pid, ...descendants(pid)];
  for (const each of all) signalProcess(each, 'SIGKILL');
  await until(() => !all.some(isRunning), 5000);
}

/** Signals a process and all below it, the parent first. */
export function signalTree(pid, signal) {
  signalProcess(pid, signal);
  for (const child of descendants(pid)) signalProcess(child, signal);
}

/** @returns {number[]} children and grandchildren of a process */
function descendants(pid) {
  const table = listProcesses();
  const found = [pid];
  for (const parent of found) for (const each of table) if (each.parent === parent) found.push(each.pid);
  return found.slice(1);
}

/** A process that has ended counts as alive until its parent has asked for its exit code, which may be a second later. */
function isRunning(pid) {
  return isAlive(pid) && listProcesses().some((each) => each.pid === pid && !each.state.startsWith('Z'));
}

function listProcesses() {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,state='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), state };
  });
}
