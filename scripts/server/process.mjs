import { setTimeout as sleep } from 'node:timers/promises';

/** @returns {boolean} whether there is such a process */
export function signalProcess(pid, signal) {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

export const isAlive = (pid) => signalProcess(pid, 0);

/** Asks again and again. @returns {Promise<boolean>} whether the answer was yes in time */
export async function until(condition, timeout) {
  const deadline = Date.now() + timeout;
  while (Date.now() < deadline) {
    if (await condition()) return true;
    await sleep(10);
  }
  return false;
}
