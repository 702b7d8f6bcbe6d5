import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

const DEADLINE = 60_000;

/** Waits until an answer comes that is not false; an error is no answer. */
export async function until(ask, what, milliseconds = DEADLINE) {
  const deadline = performance.now() + milliseconds;
  let failure = 'no';
  while (performance.now() < deadline) {
    try {
      if ((await ask()) !== false) return;
    } catch (error) {
      failure = error.message;
    }
    await sleep(50);
  }
  throw new Error(`it did not happen in ${milliseconds / 1000} s that ${what}: ${failure}`);
}

/** Whether somebody takes connections there. */
export const listens = (url) =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Nobody takes connections there, or the fault has not taken effect. */
export async function refuses(url) {
  if (await listens(url)) throw new Error('the database still takes connections');
}
