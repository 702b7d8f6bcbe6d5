import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SessionCleanup } from './session-cleanup.js';

// Time passes where a test says so: a busy machine makes a millisecond of thirty.
beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Rows that have expired, and how long the database takes for a batch of them. */
function storeOf(expired: number, milliseconds: number) {
  const limits: number[] = [];
  let left = expired;
  const deleteExpired = (limit: number) => {
    limits.push(limit);
    jest.advanceTimersByTime(milliseconds);
    const count = Math.min(limit, left);
    left -= count;
    return Promise.resolve(count);
  };
  return { limits, deleteExpired };
}

describe('[cleanup] the batches of a clean-up', () => {
  it('grow to ten times their size where the database is quick', async () => {
    const store = storeOf(4_000, 1);
    expect(await new SessionCleanup(store, 100, () => {}).run()).toEqual({ deleted: 4_000, done: true });
    expect(store.limits.slice(0, 4)).toEqual([100, 200, 400, 800]);
    expect(Math.max(...store.limits)).toBe(1_000);
  });

  it('stay as they are where it is slow', async () => {
    const store = storeOf(250, 60);
    expect(await new SessionCleanup(store, 100, () => {}).run()).toEqual({ deleted: 250, done: true });
    expect(store.limits).toEqual([100, 100, 100]);
  });

  it('begin small again with the next run', async () => {
    const store = storeOf(500, 1);
    const cleanup = new SessionCleanup(store, 100, () => {});
    await cleanup.run();
    await cleanup.run();
    expect(store.limits.at(-1)).toBe(100);
  });
});
