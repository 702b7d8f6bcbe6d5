import assert from 'node:assert/strict';
import type { StoredSession } from '../../core/store.js';
import type { TestRunner } from './runner.js';
import { atOnce, failsWith, HOUR, LONG, MINUTE, newRef, SHORT, tally, type Sessions } from './sessions.js';

export function describeCreate({ describe, it }: TestRunner, sessions: Sessions): void {
  describe('create', () => {
    it('inserts a session as it was given', async () => {
      const given = sessions.newSession(
        { a: 1, b: ['x', null] },
        { userId: 'ann', idleTimeout: HOUR, absoluteTimeout: 3 * HOUR, persistent: false },
      );
      const { expiresAt } = await sessions.store.create(given);
      const { data, remaining, absoluteRemaining, sinceTouched, ...stored } = await sessions.live(given);
      const { id, tokenHash } = given;
      assert.deepEqual(stored, {
        id,
        tokenHash,
        userId: 'ann',
        idleTimeout: HOUR,
        persistent: false,
        expiresAt: stored.expiresAt,
      });
      assert(Math.abs(stored.expiresAt - expiresAt) < 5, 'create() and find() have to answer the same expiry');
      assert.deepEqual(JSON.parse(data), { a: 1, b: ['x', null] });
      assert(remaining <= HOUR && remaining > HOUR - MINUTE, `${remaining} ms remain`);
      assert(
        absoluteRemaining <= 3 * HOUR && absoluteRemaining > 3 * HOUR - MINUTE,
        `${absoluteRemaining} ms are left`,
      );
      assert(sinceTouched >= 0 && sinceTouched < MINUTE, `touched ${sinceTouched} ms ago`);
    });

    it('starts without data, user and touch', async () => {
      const created = await sessions.create();
      const { data, userId, persistent } = await sessions.live(created);
      assert.deepEqual([JSON.parse(data), userId, persistent], [{}, undefined, true]);
    });

    it('expires by the earlier of idle and absolute timeout', async () => {
      const hours = async (idle: number, absolute: number) => {
        const lifetime = { idleTimeout: idle * HOUR, absoluteTimeout: absolute * HOUR };
        return (await sessions.create({}, lifetime)).expiresAt;
      };
      const start = (await hours(1, 1)) - HOUR;
      for (const [idle, absolute] of [
        [2, 9],
        [9, 2],
        [2, 2],
      ] as const) {
        const after = (await hours(idle, absolute)) - start;
        assert(
          Math.abs(after - 2 * HOUR) < MINUTE,
          `idle ${idle} h, absolute ${absolute} h: expires after ${after} ms`,
        );
      }
    });

    it('never adopts a token or an id that exists, and leaves its session as it is', async () => {
      const first = await sessions.create({ a: 1 }, { userId: 'ann' });
      const before = await sessions.live(first);
      const { id, tokenHash } = newRef();
      const refs = [first, { id: first.id, tokenHash }, { id, tokenHash: first.tokenHash }];
      for (const ref of refs) {
        const again = sessions.newSession({ a: 2, b: 2 }, { id: ref.id, tokenHash: ref.tokenHash, userId: 'mallory' });
        await failsWith('refused', sessions.store.create(again), ref.tokenHash);
      }
      const timeless = ({ shortValues: _, countedAt: _counted, ...session }: StoredSession) => ({
        ...session,
        sinceTouched: 0,
        remaining: 0,
        absoluteRemaining: 0,
      });
      assert.deepEqual(timeless(await sessions.live(first)), timeless(before));
      assert.deepEqual(await sessions.statuses(tokenHash), []);
    });

    it('does not bring back an expired session whose row is still there', async () => {
      const [expired] = await sessions.createExpired(1);
      await failsWith('refused', sessions.store.create(sessions.newSession({}, { id: expired!.id })));
      await failsWith('refused', sessions.store.create(sessions.newSession({}, { tokenHash: expired!.tokenHash })));
      assert.deepEqual(await sessions.statuses(expired!.tokenHash), []);
    });

    it('lets one of ten win that create the same session at once', async () => {
      const session = sessions.newSession();
      const outcomes = await atOnce(10, (index) =>
        sessions.store.create({ ...session, data: sessions.json({ index }) }).then(
          () => ({ status: 'created', index }),
          async (error: unknown) => {
            await failsWith('refused', Promise.reject(error));
            return { status: 'refused', index };
          },
        ),
      );
      assert.deepEqual(tally(outcomes), { created: 1, refused: 9 });
      const { index } = outcomes.find(({ status }) => status === 'created')!;
      assert.deepEqual(await sessions.values(session), { index });
    });

    it('keeps nothing that belongs to its caller', async () => {
      const tokenHash = newRef().tokenHash;
      const given = Buffer.from(tokenHash);
      const data = { a: '1' };
      await sessions.store.create(sessions.newSession({}, { tokenHash: given, data, ...LONG }));
      given.fill(0);
      data.a = '2';
      const found = await sessions.live({ tokenHash: Buffer.from(tokenHash) });
      assert.deepEqual(JSON.parse(found.data), { a: 1 });
      found.tokenHash.fill(0);
      assert.deepEqual((await sessions.live({ tokenHash })).tokenHash, tokenHash);
    });
  });

  describe('expiry', () => {
    it('ends a session that was not used for its idle timeout', async () => {
      const [expired] = await sessions.createExpired(1);
      assert.deepEqual(await sessions.statuses(expired!.tokenHash), []);
    });

    it('ends a session at its absolute timeout, however much it is used', async () => {
      const lifetime = { idleTimeout: HOUR, absoluteTimeout: SHORT.idleTimeout };
      const created = await sessions.create({}, lifetime);
      // On a slow machine it may have ended already; what counts is that neither prolongs it.
      await sessions.store.touch(created, 0);
      await sessions.store.update(created, sessions.delta({ a: 1 }), 0);
      await sessions.end();
      assert.deepEqual(await sessions.statuses(created.tokenHash), []);
    });
  });
}
