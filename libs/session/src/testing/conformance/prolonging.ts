import assert from 'node:assert/strict';
import type { Delta, LifetimeChange } from '../../core/store.js';
import type { TestRunner } from './runner.js';
import { HOUR, MINUTE, NEVER, wasApplied, type Created, type Sessions } from './sessions.js';

const DAY = 24 * HOUR;

/** What a test of milliseconds may be off by, waiting for the database included. */
const CLOSE = MINUTE;

export function describeLifetime({ describe, it }: TestRunner, sessions: Sessions): void {
  const write = async (created: Created, lifetime: LifetimeChange, rest: Partial<Delta> = {}) => {
    const delta = { set: {}, unset: [], ...rest, lifetime };
    return wasApplied(await sessions.store.update(created, delta, NEVER));
  };
  const isAbout = (actual: number, wanted: number) =>
    assert(Math.abs(actual - wanted) < CLOSE, `${actual} ms instead of ${wanted}`);

  describe('another lifetime', () => {
    it('is longer, and written with the data', async () => {
      const created = await sessions.create({ a: 1 });
      const lifetime = { idleTimeout: 5 * HOUR, persistent: false };
      const { expiresAt } = await write(created, lifetime, { set: sessions.json({ b: 2 }), unset: ['a'] });
      const live = await sessions.live(created);
      assert.deepEqual([live.idleTimeout, live.persistent, JSON.parse(live.data)], [5 * HOUR, false, { b: 2 }]);
      isAbout(live.remaining, 5 * HOUR);
      isAbout(live.absoluteRemaining, 10 * HOUR);
      assert(Math.abs(live.expiresAt - expiresAt) < 5);
      assert(live.sinceTouched < CLOSE);
    });

    it('is shorter', async () => {
      const created = await sessions.create();
      await write(created, { idleTimeout: 10 * MINUTE, persistent: true });
      isAbout((await sessions.live(created)).remaining, 10 * MINUTE);
    });

    it('ends no later than the absolute one', async () => {
      const created = await sessions.create();
      const before = await sessions.live(created);
      await write(created, { idleTimeout: 30 * DAY, persistent: true });
      const after = await sessions.live(created);
      assert.equal(after.expiresAt - after.remaining + after.absoluteRemaining, after.expiresAt);
      assert(after.absoluteRemaining <= before.absoluteRemaining);
    });

    it('sets the absolute expiry where it says so', async () => {
      const created = await sessions.create();
      await write(created, { idleTimeout: 30 * DAY, absoluteTimeout: 30 * DAY, persistent: true });
      const live = await sessions.live(created);
      isAbout(live.absoluteRemaining, 30 * DAY);
      assert(live.remaining <= live.absoluteRemaining);
      isAbout(live.remaining, 30 * DAY);
    });

    it('comes with a new token as well', async () => {
      const created = await sessions.create({ a: 1 });
      const lifetime = { idleTimeout: 5 * HOUR, persistent: false };
      const current = await sessions.replace(created, {}, { set: {}, unset: [], lifetime });
      const live = await sessions.live(current);
      assert.deepEqual([live.idleTimeout, live.persistent, JSON.parse(live.data)], [5 * HOUR, false, { a: 1 }]);
      isAbout(live.remaining, 5 * HOUR);
    });
  });
}
