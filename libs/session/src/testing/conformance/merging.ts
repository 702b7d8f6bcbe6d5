import assert from 'node:assert/strict';
import { HOSTILE_KEYS } from './keys.js';
import type { TestRunner } from './runner.js';
import { NO_DELTA, type Sessions, type Values } from './sessions.js';

export function describeUpdate({ describe, it }: TestRunner, sessions: Sessions): void {
  describe('update', () => {
    it('merges per top-level key', async () => {
      const created = await sessions.create({ a: 1, b: 2, c: 3 });
      await sessions.update(created, { b: 20, d: 4 }, ['c']);
      assert.deepEqual(await sessions.values(created), { a: 1, b: 20, d: 4 });
    });

    it('replaces a value whole, and never merges into it', async () => {
      const created = await sessions.create({ a: { x: 1, deep: { y: 1 } }, list: [1, 2, 3] });
      await sessions.update(created, { a: { deep: { z: 2 } }, list: [9] });
      assert.deepEqual(await sessions.values(created), { a: { deep: { z: 2 } }, list: [9] });
    });

    it('keeps null as a value, at every level', async () => {
      const created = await sessions.create({ a: 1, b: { x: 1 } });
      await sessions.update(created, { a: null, b: { x: null, y: [null] } });
      assert.deepEqual(await sessions.values(created), { a: null, b: { x: null, y: [null] } });
    });

    it('does not mind to unset what is not there', async () => {
      const created = await sessions.create({ a: 1 });
      await sessions.update(created, {}, ['absent', 'toString']);
      assert.deepEqual(await sessions.values(created), { a: 1 });
    });

    it('applies a delta without changes', async () => {
      const created = await sessions.create({ a: 1 });
      assert.equal((await sessions.store.update(created, NO_DELTA, 0)).status, 'applied');
      assert.deepEqual(await sessions.values(created), { a: 1 });
    });

    it('takes a delta with many keys', async () => {
      const created = await sessions.create();
      const many: Values = Object.fromEntries(Array.from({ length: 256 }, (_, index) => [`key ${index}`, index]));
      await sessions.update(created, many);
      assert.deepEqual(await sessions.values(created), many);
      await sessions.update(created, { last: 1 }, Object.keys(many));
      assert.deepEqual(await sessions.values(created), { last: 1 });
    });

    it('leaves all other sessions alone', async () => {
      const [one, other] = [await sessions.create({ a: 1 }), await sessions.create({ a: 1 })];
      await sessions.update(one, { a: 2 });
      assert.deepEqual(await sessions.values(other), { a: 1 });
    });

    it('knows keys with escapes from those that JSON.parse of Node 24 takes them for', async () => {
      const created = await sessions.create();
      const keys = ['\\', '"', '\\"', '""'];
      for (const key of keys) {
        const others = keys.filter((other) => other !== key);
        await sessions.update(created, { first: { first: 1, [key]: 2 }, [key]: 3 }, others);
        assert.deepEqual(await sessions.values(created), { first: { first: 1, [key]: 2 }, [key]: 3 });
      }
    });

    it('lets two writers together exceed what one of them may write', async () => {
      const half = 'x'.repeat(0.6 * sessions.limits.maxBytes);
      const created = await sessions.create();
      await sessions.update(created, { a: half });
      await sessions.update(created, { b: half });
      assert.deepEqual(await sessions.values(created), { a: half, b: half });
    });
  });

  describe('keys', () => {
    const all = (value: (index: number) => unknown): Values =>
      Object.fromEntries(HOSTILE_KEYS.map((key, index) => [key, value(index)]));

    it('are text and nothing else: all kinds side by side in one session', async () => {
      const created = await sessions.create(all((index) => index));
      assert.deepEqual(
        await sessions.values(created),
        all((index) => index),
      );
      await sessions.update(
        created,
        all((index) => ({ index })),
      );
      assert.deepEqual(
        await sessions.values(created),
        all((index) => ({ index })),
      );
    });

    it('are read, written and removed one by one, without an effect on the rest', async () => {
      const expected = all((index) => index);
      const created = await sessions.create(expected);
      for (const [index, key] of HOSTILE_KEYS.entries()) {
        assert.equal(await sessions.value(created, key), index, key);
        await sessions.update(created, { [key]: [index] });
        assert.deepEqual(await sessions.value(created, key), [index], key);
        expected[key] = [index];
        if (index % 3 === 0) {
          await sessions.update(created, {}, [key]);
          delete expected[key];
        }
        assert.deepEqual(await sessions.values(created), expected, key);
      }
    });

    it('are the same for atomic operations', async () => {
      const expected = all((index) => index);
      const created = await sessions.create(expected);
      for (const [index, key] of HOSTILE_KEYS.entries()) {
        assert.equal(await sessions.applied(created, { kind: 'increment', key, by: 1 }), index + 1, key);
        assert.equal(await sessions.applied(created, { kind: 'take', key }), index + 1, key);
        assert.equal(await sessions.applied(created, { kind: 'setIfAbsent', key, value: '[]' }).then(String), '', key);
        assert.deepEqual(await sessions.applied(created, { kind: 'append', key, items: '[1]' }), [1], key);
        const { version } = await sessions.read(created, key);
        const value = JSON.stringify(key);
        assert.equal(await sessions.applied(created, { kind: 'compareAndSet', key, value, version }), key);
        expected[key] = key;
      }
      assert.deepEqual(await sessions.values(created), expected);
    });

    it('are the same where a sign-in keeps them', async () => {
      const created = await sessions.create(all((index) => index));
      const keep = HOSTILE_KEYS.filter((_, index) => index % 2 === 0);
      const login = { userId: 'ann', keep, idleTimeout: 3_600_000, absoluteTimeout: 3_600_000, persistent: true };
      const current = await sessions.replace(created, { login });
      assert.deepEqual(await sessions.values(current), Object.fromEntries(keep.map((key, index) => [key, 2 * index])));
    });
  });
}
