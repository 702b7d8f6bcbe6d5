import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { TestRunner } from './runner.js';
import { ALWAYS, atOnce, HOUR, type Sessions } from './sessions.js';

/** Lets a session expire so many milliseconds from now, by the store's clock, as if it had not been used for that long. */
export type Expire = (id: string, inMilliseconds: number) => Promise<void>;

/** Enough that some of them are touched just when they expire. */
const SESSIONS = 200;

export function describeExpiry({ describe, it }: TestRunner, sessions: Sessions, expire: Expire): void {
  describe('the last moment', () => {
    it('is the expiry itself: before it all is well, after it nothing is', async () => {
      const created = await sessions.create({ a: 1 });
      await expire(created.id, HOUR / 2);
      assert.deepEqual(await sessions.values(created), { a: 1 });
      await expire(created.id, -1);
      assert.deepEqual(await sessions.statuses(created.tokenHash), []);
      assert.equal(await sessions.store.touch(created, ALWAYS), undefined);
      assert.deepEqual(await sessions.store.update(created, sessions.delta({ b: 1 }), ALWAYS), { status: 'gone' });
    });

    it('is prolonged by a touch or it is not, whatever the clean-up does meanwhile', async () => {
      const end = performance.now() + 2 * SESSIONS + 200;
      const cleaning = atOnce(2, async () => {
        while (performance.now() < end) {
          await sessions.store.deleteExpired(10);
          await turn();
        }
      });
      await atOnce(SESSIONS, async (index) => {
        const ref = await sessions.create();
        // One after the other, and each touch within the milliseconds in which its session expires.
        await delay(2 * index);
        await expire(ref.id, 50);
        await delay(45 + (index % 6));
        const touched = await sessions.store.touch(ref, ALWAYS);
        assert.deepEqual(await sessions.statuses(ref.tokenHash), touched ? ['live'] : []);
        await cleaning;
        assert.deepEqual(await sessions.statuses(ref.tokenHash), touched ? ['live'] : []);
      });
    });

    it('comes for the oldest token and the newest alike', async () => {
      const old = await sessions.create();
      const current = await sessions.replace(old);
      await expire(current.id, -1);
      assert(!(await sessions.statuses(old.tokenHash, current.tokenHash)).includes('live'));
      assert.deepEqual(await sessions.store.update(current, sessions.delta({ a: 1 }), ALWAYS), { status: 'gone' });
      assert.notEqual((await sessions.store.update(old, sessions.delta({ a: 1 }), ALWAYS)).status, 'applied');
    });
  });
}
