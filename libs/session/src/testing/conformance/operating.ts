import assert from 'node:assert/strict';
import { MAX_COUNTER } from '../../core/atomic.js';
import type { TestRunner } from './runner.js';
import type { Sessions, Values } from './sessions.js';

/** One of each JSON type, so that an operation meets what it does not fit. */
const TYPES: Values = {
  number: 7,
  string: '7',
  empty: '',
  list: [1],
  object: { '0': 1 },
  null: null,
  yes: true,
  no: false,
};
const typesBut = (fitting: string) => Object.keys(TYPES).filter((key) => key !== fitting);

export function describeApply({ describe, it }: TestRunner, sessions: Sessions): void {
  describe('increment', () => {
    const increment = (key: string, by: number) => ({ kind: 'increment', key, by }) as const;

    it('adds to a number, and starts at zero', async () => {
      const created = await sessions.create({ n: 40, other: 1 });
      assert.equal(await sessions.applied(created, increment('n', 2)), 42);
      assert.equal(await sessions.applied(created, increment('n', -50)), -8);
      assert.equal(await sessions.applied(created, increment('new', 5)), 5);
      assert.equal(await sessions.applied(created, increment('n', 0)), -8);
      assert.deepEqual(await sessions.values(created), { n: -8, new: 5, other: 1 });
    });

    it('adds fractions as JavaScript does', async () => {
      const created = await sessions.create({ tenth: 0.1, tiny: 5e-324 });
      assert.equal(await sessions.applied(created, increment('tenth', 0.2)), 0.1 + 0.2);
      assert.equal(await sessions.applied(created, increment('tiny', 5e-324)), 1e-323);
      assert.equal(await sessions.applied(created, increment('small', 1e-7)), 1e-7);
      assert.deepEqual(await sessions.values(created), { tenth: 0.1 + 0.2, tiny: 1e-323, small: 1e-7 });
    });

    it('stops where numbers are no longer exact', async () => {
      const created = await sessions.create({ top: MAX_COUNTER - 1, bottom: 1 - MAX_COUNTER });
      assert.equal(await sessions.applied(created, increment('top', 1)), MAX_COUNTER);
      assert.equal(await sessions.applied(created, increment('bottom', -1)), -MAX_COUNTER);
      assert.equal((await sessions.unfit(created, increment('top', 1))).value, MAX_COUNTER);
      assert.equal((await sessions.unfit(created, increment('bottom', -1))).value, -MAX_COUNTER);
      assert.deepEqual(await sessions.values(created), { top: MAX_COUNTER, bottom: -MAX_COUNTER });
    });

    it('does not start where numbers are not exact', async () => {
      const created = await sessions.create();
      for (const by of [MAX_COUNTER + 1, -MAX_COUNTER - 1, 1e300]) {
        assert.equal((await sessions.unfit(created, increment('new', by))).value, undefined);
      }
      assert.deepEqual(await sessions.values(created), {});
    });

    it('does not fit what is no number, and answers it', async () => {
      const created = await sessions.create(TYPES);
      for (const key of typesBut('number')) {
        assert.deepEqual((await sessions.unfit(created, increment(key, 1))).value, TYPES[key], key);
      }
      assert.deepEqual(await sessions.values(created), TYPES);
    });
  });

  describe('append', () => {
    const append = (key: string, ...items: unknown[]) =>
      ({ kind: 'append', key, items: sessions.text(items) }) as const;

    it('adds items at the end, in their order, and starts a list', async () => {
      const created = await sessions.create({ list: [1], other: 1 });
      assert.deepEqual(await sessions.applied(created, append('list', 'a', { b: null })), [1, 'a', { b: null }]);
      assert.deepEqual(await sessions.applied(created, append('new', null)), [null]);
      assert.deepEqual(await sessions.values(created), { list: [1, 'a', { b: null }], new: [null], other: 1 });
    });

    it('appends a list as one item, and nothing as nothing', async () => {
      const created = await sessions.create({ list: [1] });
      assert.deepEqual(await sessions.applied(created, append('list', [2, 3], [])), [1, [2, 3], []]);
      assert.deepEqual(await sessions.applied(created, append('list')), [1, [2, 3], []]);
      assert.deepEqual(await sessions.applied(created, append('new')), []);
    });

    it('does not fit what is no list, and answers it', async () => {
      const created = await sessions.create(TYPES);
      for (const key of typesBut('list')) {
        assert.deepEqual((await sessions.unfit(created, append(key, 1))).value, TYPES[key], key);
      }
      assert.deepEqual(await sessions.values(created), TYPES);
    });
  });

  describe('setIfAbsent', () => {
    const setIfAbsent = (key: string, value: unknown) =>
      ({ kind: 'setIfAbsent', key, value: sessions.text(value) }) as const;

    it('sets what is absent', async () => {
      const created = await sessions.create({ other: 1 });
      assert.deepEqual(await sessions.applied(created, setIfAbsent('a', { b: [null] })), { b: [null] });
      assert.equal(await sessions.applied(created, setIfAbsent('n', null)), null);
      assert.deepEqual(await sessions.values(created), { a: { b: [null] }, n: null, other: 1 });
    });

    it('does not fit any value that is there, null and false included, and answers it', async () => {
      const created = await sessions.create(TYPES);
      for (const key of Object.keys(TYPES)) {
        assert.deepEqual((await sessions.unfit(created, setIfAbsent(key, 'new'))).value, TYPES[key], key);
      }
      assert.deepEqual(await sessions.values(created), TYPES);
    });
  });

  describe('take', () => {
    it('removes a value and answers it, whatever it is', async () => {
      const created = await sessions.create({ ...TYPES, other: 1 });
      for (const key of Object.keys(TYPES)) {
        assert.deepEqual(await sessions.applied(created, { kind: 'take', key }), TYPES[key], key);
      }
      assert.deepEqual(await sessions.values(created), { other: 1 });
    });

    it('finds nothing to take the second time', async () => {
      const created = await sessions.create({ a: 1 });
      await sessions.applied(created, { kind: 'take', key: 'a' });
      assert.equal((await sessions.unfit(created, { kind: 'take', key: 'a' })).value, undefined);
      await sessions.unfit(created, { kind: 'take', key: 'toString' });
    });
  });

  describe('compareAndSet', () => {
    const compareAndSet = (key: string, value: unknown, version: number) =>
      ({
        kind: 'compareAndSet',
        key,
        value: value === undefined ? undefined : sessions.text(value),
        version,
      }) as const;

    it('sets, creates and deletes where the version is the one that was read', async () => {
      const created = await sessions.create({ a: 1, other: 1 });
      for (const [key, value] of [
        ['a', { b: null }],
        ['new', null],
        ['a', undefined],
        ['absent', undefined],
      ] as const) {
        const { version } = await sessions.read(created, key);
        assert.deepEqual(await sessions.applied(created, compareAndSet(key, value, version)), value);
      }
      assert.deepEqual(await sessions.values(created), { new: null, other: 1 });
    });

    it('does not fit a version that has passed, and answers value and version as they are', async () => {
      const created = await sessions.create({ a: 1 });
      const { version } = await sessions.read(created, 'a');
      await sessions.update(created, { a: 2 });
      for (const value of [3, undefined]) {
        const unfit = await sessions.unfit(created, compareAndSet('a', value, version));
        assert.deepEqual([unfit.value, unfit.version > version], [2, true]);
      }
      const { version: current } = await sessions.unfit(created, compareAndSet('a', 3, version));
      assert.equal(await sessions.applied(created, compareAndSet('a', 3, current)), 3);
    });

    it('does not fit a version that has not been yet', async () => {
      const created = await sessions.create({ a: 1 });
      const { version } = await sessions.read(created, 'a');
      await sessions.unfit(created, compareAndSet('a', 2, version + 1));
      assert.deepEqual(await sessions.values(created), { a: 1 });
    });

    it('still fits after a touch', async () => {
      const created = await sessions.create({ a: 1 });
      const { version } = await sessions.read(created, 'a');
      await sessions.store.touch(created, 0);
      assert.equal(await sessions.applied(created, compareAndSet('a', 2, version)), 2);
    });
  });

  describe('maxBytes', () => {
    const { maxBytes } = sessions.limits;
    const large = 'x'.repeat(0.6 * maxBytes);

    /** Operations that each make the data larger by `large`, by what they answer as long as there is no room. */
    const growing = (version: number) =>
      [
        { kind: 'setIfAbsent', key: 'new', value: sessions.text(large) },
        { kind: 'append', key: 'list', items: sessions.text([large]) },
        { kind: 'compareAndSet', key: 'new', value: sessions.text(large), version },
      ] as const;

    it('gives room to large values', async () => {
      for (const index of [0, 1, 2]) {
        const created = await sessions.create({ list: [] });
        const { version } = await sessions.read(created, 'list');
        await sessions.applied(created, growing(version)[index]!);
        assert((await sessions.live(created)).data.length > large.length);
      }
    });

    it('is where an operation does not fit any more, and changes nothing', async () => {
      const before: Values = { old: large, list: [1] };
      const created = await sessions.create(before);
      const { version } = await sessions.read(created, 'list');
      for (const operation of growing(version)) {
        const unfit = await sessions.unfit(created, operation);
        // Unchanged version, so whoever asked knows that it was the size.
        assert.deepEqual([unfit.value, unfit.version], [before[operation.key], version], operation.kind);
      }
      assert.deepEqual(await sessions.values(created), before);
    });

    it('lets what is too large already shrink, and not grow', async () => {
      // Two writers together, each within the limit.
      const created = await sessions.create({ a: large, n: 1000 });
      await sessions.update(created, { b: large });
      const { version } = await sessions.unfit(created, { kind: 'setIfAbsent', key: 'c', value: '1' });
      await sessions.unfit(created, { kind: 'append', key: 'c', items: '[1]' });
      await sessions.unfit(created, { kind: 'increment', key: 'n', by: 9_000 });
      assert.equal(await sessions.applied(created, { kind: 'compareAndSet', key: 'b', value: '"y"', version }), 'y');
      await sessions.update(created, { b: large });
      assert.equal(await sessions.applied(created, { kind: 'increment', key: 'n', by: 1 }), 1001);
      assert.equal(await sessions.applied(created, { kind: 'take', key: 'b' }), large);
      assert.deepEqual(await sessions.values(created), { a: large, n: 1001 });
    });
  });
}
