import type { SessionCleanup } from './session-cleanup.js';

/**
 * Runs a clean-up again and again, until the timer that it returns is cleared. It keeps no process alive.
 *
 * @param interval milliseconds. Nodes that were started together would clean up together; a part of it, drawn anew each
 * time, spreads them.
 */
export function scheduleCleanup(cleanup: Pick<SessionCleanup, 'run'>, interval: number): NodeJS.Timeout {
  const runLater = () => {
    // A failure is an event already, and the next run tries again.
    const run = () => void cleanup.run().catch(() => {});
    setTimeout(run, Math.random() * (interval / 2)).unref();
  };
  return setInterval(runLater, interval).unref();
}
