import assert from 'node:assert/strict';
import type { TestRunner } from './runner.js';
import type { Created, Sessions } from './sessions.js';

/** More than the suite leaves expired. */
const ALL = 10_000;

export function describeEnd({ describe, it }: TestRunner, sessions: Sessions): void {
  /** An id can be used again when its row is gone: the one way in which the port shows that it is. */
  const isDeleted = async ({ id }: Created) => {
    const again = sessions.newSession({}, { id });
    try {
      await sessions.store.create(again);
    } catch {
      return false;
    }
    await sessions.store.delete(again);
    return true;
  };

  describe('delete', () => {
    it('ends this session and no other', async () => {
      const [one, other] = [await sessions.create({ a: 1 }), await sessions.create({ a: 2 })];
      assert.deepEqual(await sessions.store.delete(one), { status: 'deleted' });
      assert.deepEqual(await sessions.statuses(one.tokenHash), []);
      assert.deepEqual(await sessions.values(other), { a: 2 });
    });

    it('says that the session is gone the second time', async () => {
      const created = await sessions.create();
      await sessions.store.delete(created);
      assert.deepEqual(await sessions.store.delete(created), { status: 'gone' });
    });

    it('does not delete what got a new token', async () => {
      const old = await sessions.create({ a: 1 });
      const current = await sessions.replace(old);
      assert.deepEqual(await sessions.store.delete(old), { status: 'replaced' });
      assert.deepEqual(await sessions.values(current), { a: 1 });
      assert.deepEqual(await sessions.store.delete(current), { status: 'deleted' });
    });

    it('finds no life in what has expired', async () => {
      const [expired] = await sessions.createExpired(1);
      // Whether the row is taken along is its own affair.
      assert.notEqual((await sessions.store.delete(expired!)).status, 'replaced');
      assert.deepEqual(await sessions.statuses(expired!.tokenHash), []);
    });
  });

  describe('deleteExpired', () => {
    it('deletes at most so many, and says how many', async () => {
      await sessions.store.deleteExpired(ALL);
      const expired = await sessions.createExpired(5);
      assert.deepEqual(
        [
          await sessions.store.deleteExpired(2),
          await sessions.store.deleteExpired(2),
          await sessions.store.deleteExpired(2),
          await sessions.store.deleteExpired(2),
        ],
        [2, 2, 1, 0],
      );
      for (const one of expired) assert(await isDeleted(one), 'an expired row is still there');
    });

    it('leaves the living alone, new, touched, replaced or signed in', async () => {
      const plain = await sessions.create();
      const touched = await sessions.create();
      await sessions.store.touch(touched, 0);
      const replaced = await sessions.replace(await sessions.create());
      const login = { userId: 'ann', keep: [], idleTimeout: 60_000, absoluteTimeout: 60_000, persistent: true };
      const signedIn = await sessions.replace(await sessions.create(), { login });
      await sessions.createExpired(1);
      await sessions.store.deleteExpired(ALL);
      const living = [plain, touched, replaced, signedIn].map(({ tokenHash }) => tokenHash);
      assert.deepEqual(await sessions.statuses(...living), ['live', 'live', 'live', 'live']);
    });
  });

  describe('check', () => {
    it('has nothing to say about a store that works', async () => {
      assert.equal(await sessions.store.check(), undefined);
    });
  });
}
