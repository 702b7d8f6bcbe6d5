import assert from 'node:assert/strict';
import type { TestRunner } from './runner.js';
import { allMissed, failsWith, HOUR, MINUTE, NO_DELTA, type Sessions } from './sessions.js';

const DAY = 24 * HOUR;
const WEEK = { idleTimeout: DAY, absoluteTimeout: 7 * DAY, persistent: false };

export function describeReplace({ describe, it }: TestRunner, sessions: Sessions): void {
  describe('replace', () => {
    it('gives the same session another token', async () => {
      const created = await sessions.create({ a: 1 }, { userId: 'ann' });
      const current = await sessions.replace(created);
      const { id, tokenHash, userId, data } = await sessions.live(current);
      assert.deepEqual([id, tokenHash, userId], [created.id, current.tokenHash, 'ann']);
      assert.deepEqual(JSON.parse(data), { a: 1 });
    });

    it('carries a delta', async () => {
      const created = await sessions.create({ a: 1, b: 2 });
      const current = await sessions.replace(created, {}, sessions.delta({ a: 10, c: 3 }, ['b']));
      assert.deepEqual(await sessions.values(current), { a: 10, c: 3 });
    });

    it('never moves the absolute expiry', async () => {
      const created = await sessions.create();
      const before = await sessions.live(created);
      const after = await sessions.live(await sessions.replace(created, {}, NO_DELTA, 0));
      assert(after.absoluteRemaining <= before.absoluteRemaining);
      assert.deepEqual([after.idleTimeout, after.persistent], [before.idleTimeout, before.persistent]);
    });

    it('changes the version', async () => {
      const created = await sessions.create({ a: 1 });
      const { version } = await sessions.read(created, 'a');
      const current = await sessions.replace(created);
      await sessions.unfit(current, { kind: 'compareAndSet', key: 'a', value: '2', version });
    });

    it('never takes over a token that another session has', async () => {
      const [ann, bob] = [await sessions.create({ a: 1 }), await sessions.create({ b: 2 })];
      const replacement = { tokenHash: bob.tokenHash, isUnsent: false };
      await failsWith('refused', sessions.store.replace(ann, replacement, NO_DELTA, 0), bob.tokenHash);
      assert.deepEqual([await sessions.values(ann), await sessions.values(bob)], [{ a: 1 }, { b: 2 }]);
    });
  });

  describe('a token that was replaced', () => {
    it('is recognised, and refused by every call', async () => {
      const old = await sessions.create({ a: 1 });
      const current = await sessions.replace(old);
      assert.deepEqual(await sessions.statuses(old.tokenHash), ['replaced']);
      assert.deepEqual(await sessions.outcomes(old), allMissed('replaced'));
      assert.deepEqual(await sessions.store.delete(old), { status: 'replaced' });
      assert.deepEqual(await sessions.values(current), { a: 1 });
    });

    it('stays refused when its successor is replaced too', async () => {
      const first = await sessions.create({ a: 1 });
      const second = await sessions.replace(first);
      const third = await sessions.replace(second);
      assert.deepEqual(await sessions.statuses(second.tokenHash), ['replaced']);
      assert(!(await sessions.statuses(first.tokenHash)).includes('live'));
      for (const old of [first, second]) assert.deepEqual(await sessions.outcomes(old), allMissed('replaced'));
      assert.deepEqual(await sessions.values(third), { a: 1 });
    });

    it('stays the one that is recognised where its successor was never sent', async () => {
      const sent = await sessions.create();
      const unsent = await sessions.replace(sent);
      const current = await sessions.replace(unsent, { isUnsent: true });
      assert.deepEqual(await sessions.statuses(sent.tokenHash), ['replaced']);
      assert(!(await sessions.statuses(unsent.tokenHash)).includes('live'));
      for (const old of [sent, unsent]) assert.deepEqual(await sessions.outcomes(old), allMissed('replaced'));
      assert.deepEqual(await sessions.statuses(current.tokenHash), ['live']);
    });

    it('never works again, though nobody had it before', async () => {
      const unsent = await sessions.create();
      const current = await sessions.replace(unsent, { isUnsent: true });
      assert(!(await sessions.statuses(unsent.tokenHash)).includes('live'));
      assert.deepEqual(await sessions.outcomes(unsent), allMissed('replaced'));
      assert.deepEqual(await sessions.statuses(current.tokenHash), ['live']);
    });

    it('is gone when the session is deleted', async () => {
      const old = await sessions.create();
      const current = await sessions.replace(old);
      await sessions.store.delete(current);
      assert.deepEqual(await sessions.outcomes(old), allMissed('gone'));
      assert(!(await sessions.statuses(old.tokenHash, current.tokenHash)).includes('live'));
    });
  });

  describe('a sign-in', () => {
    it('sets the user, and keeps the named keys alone', async () => {
      const created = await sessions.create({ cart: [1, null], theme: { dark: true }, draft: 1, nothing: null });
      const login = { userId: 'ann', keep: ['cart', 'nothing', 'absent'], ...WEEK };
      const current = await sessions.replace(created, { login });
      const { id, userId, data } = await sessions.live(current);
      assert.deepEqual([id, userId], [created.id, 'ann']);
      assert.deepEqual(JSON.parse(data), { cart: [1, null], nothing: null });
      assert.deepEqual(await sessions.statuses(created.tokenHash), ['replaced']);
    });

    it('keeps nothing where nothing is named', async () => {
      const created = await sessions.create({ a: 1 });
      const current = await sessions.replace(created, { login: { userId: 'ann', keep: [], ...WEEK } });
      assert.deepEqual(await sessions.values(current), {});
    });

    it('merges its delta into what is kept', async () => {
      const created = await sessions.create({ a: 1, b: 2, c: 3, d: 4 });
      const login = { userId: 'ann', keep: ['a', 'b', 'c'], ...WEEK };
      const current = await sessions.replace(created, { login }, sessions.delta({ a: { new: 1 }, e: 5 }, ['b']));
      assert.deepEqual(await sessions.values(current), { a: { new: 1 }, c: 3, e: 5 });
    });

    it('takes the user away where it has none', async () => {
      const created = await sessions.create({ a: 1, b: 2 }, { userId: 'ann' });
      const current = await sessions.replace(created, { login: { userId: undefined, keep: ['b'], ...WEEK } });
      const { userId, data } = await sessions.live(current);
      assert.deepEqual([userId, JSON.parse(data)], [undefined, { b: 2 }]);
    });

    it('starts a lifetime of its own', async () => {
      const created = await sessions.create({}, { userId: 'ann' });
      const login = { userId: 'bob', keep: [], ...WEEK };
      const current = await sessions.replace(created, { login }, NO_DELTA, 100 * DAY);
      const { userId, idleTimeout, persistent, absoluteRemaining, expiresAt } = await sessions.live(current);
      assert.deepEqual([userId, idleTimeout, persistent], ['bob', DAY, false]);
      assert(absoluteRemaining > 7 * DAY - MINUTE && absoluteRemaining <= 7 * DAY, `${absoluteRemaining} ms are left`);
      assert(Math.abs(expiresAt - created.expiresAt - (DAY - HOUR)) < MINUTE);
      assert(Math.abs(expiresAt - current.expiresAt) < 5);
    });

    it('may shorten the lifetime', async () => {
      const created = await sessions.create();
      const lifetime = { idleTimeout: 30 * MINUTE, absoluteTimeout: 20 * MINUTE, persistent: true };
      const current = await sessions.replace(created, { login: { userId: 'ann', keep: [], ...lifetime } });
      const { absoluteRemaining, expiresAt } = await sessions.live(current);
      assert(absoluteRemaining <= 20 * MINUTE);
      assert(expiresAt < created.expiresAt - 30 * MINUTE);
    });
  });
}
