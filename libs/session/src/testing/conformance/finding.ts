import assert from 'node:assert/strict';
import type { TestRunner } from './runner.js';
import { allMissed, newRef, type Sessions } from './sessions.js';

export function describeFind({ describe, it }: TestRunner, sessions: Sessions): void {
  describe('find', () => {
    it('looks up many at once, and leaves out what it does not know', async () => {
      const created = [
        await sessions.create({ n: 0 }),
        await sessions.create({ n: 1 }),
        await sessions.create({ n: 2 }),
      ];
      const hashes = [newRef(), ...created, newRef()].map(({ tokenHash }) => tokenHash);
      const found = await sessions.store.find(hashes);
      const data = found.map((one) => (one.status === 'live' ? one.session.data : one.status));
      assert.deepEqual(
        data.map((text) => JSON.parse(text) as unknown).sort((a: any, b: any) => a.n - b.n),
        [{ n: 0 }, { n: 1 }, { n: 2 }],
      );
    });

    it('answers nothing to nothing, and nothing for tokens that nobody has', async () => {
      assert.deepEqual(await sessions.store.find([]), []);
      assert.deepEqual(await sessions.store.find([newRef().tokenHash]), []);
      assert.deepEqual(await sessions.store.find([newRef().tokenHash, newRef().tokenHash]), []);
    });

    it('compares the whole hash', async () => {
      const { tokenHash } = await sessions.create();
      const others = [0, 31].map((index) => {
        const other = Buffer.from(tokenHash);
        other[index] = other[index]! ^ 1;
        return other;
      });
      const parts = [tokenHash.subarray(0, 16), Buffer.alloc(0), Buffer.from(tokenHash.toString('hex'))];
      assert.deepEqual(await sessions.statuses(...others, ...parts), []);
    });

    it('leaves out expired sessions and finds those beside them', async () => {
      const live = await sessions.create();
      const expired = await sessions.createExpired(2);
      const hashes = [...expired, live].map(({ tokenHash }) => tokenHash);
      const found = await sessions.store.find(hashes);
      assert.deepEqual(
        found.map((one) => one.status === 'live' && one.session.id),
        [live.id],
      );
    });

    it('tells a replaced token from a live one in the same answer', async () => {
      const old = await sessions.create();
      const current = await sessions.replace(old);
      const other = await sessions.create();
      const hashes = [old, current, other, newRef()].map(({ tokenHash }) => tokenHash);
      assert.deepEqual(await sessions.statuses(...hashes), ['live', 'live', 'replaced']);
    });
  });

  describe('read', () => {
    it('answers the JSON text of one key', async () => {
      const created = await sessions.create({ a: { b: [1, null] }, n: null, empty: '' });
      assert.deepEqual(await sessions.value(created, 'a'), { b: [1, null] });
      assert.equal(await sessions.value(created, 'empty'), '');
    });

    it('tells null from no value', async () => {
      const created = await sessions.create({ n: null });
      assert.equal(await sessions.value(created, 'n'), null);
      assert.equal((await sessions.read(created, 'absent')).value, undefined);
      for (const inherited of ['toString', 'constructor', 'length']) {
        assert.equal((await sessions.read(created, inherited)).value, undefined);
      }
    });

    it('answers a version that every data write changes, and a touch does not', async () => {
      const created = await sessions.create({ a: 1 });
      const versions = new Set<number>();
      const note = async () => versions.add((await sessions.read(created, 'a')).version);
      await note();
      await sessions.update(created, { a: 2 });
      await note();
      await sessions.update(created, { b: 2 });
      await note();
      await sessions.applied(created, { kind: 'increment', key: 'c', by: 1 });
      await note();
      await sessions.applied(created, { kind: 'take', key: 'c' });
      await note();
      assert.equal(versions.size, 5);
      await sessions.store.touch(created, 0);
      await note();
      assert.equal(versions.size, 5);
    });
  });

  describe('a session that is not there', () => {
    it('is gone for every call where it never was, and none creates it', async () => {
      const nobody = newRef();
      assert.deepEqual(await sessions.outcomes(nobody), allMissed('gone'));
      assert.deepEqual(await sessions.store.delete(nobody), { status: 'gone' });
      assert.deepEqual(await sessions.statuses(nobody.tokenHash), []);
      // Nor under its id with another token.
      await sessions.create({}, { id: nobody.id });
    });

    it('is gone for every call when it has expired, and none brings it back', async () => {
      const [expired] = await sessions.createExpired(1);
      assert.deepEqual(await sessions.outcomes(expired!), allMissed('gone'));
      assert.deepEqual(await sessions.statuses(expired!.tokenHash), []);
    });

    it('is gone for every call when it was deleted, and none brings it back', async () => {
      const created = await sessions.create({ a: 1 });
      assert.deepEqual(await sessions.store.delete(created), { status: 'deleted' });
      assert.deepEqual(await sessions.outcomes(created), allMissed('gone'));
      assert.deepEqual(await sessions.statuses(created.tokenHash), []);
    });
  });

  describe('the wrong reference', () => {
    it('writes nothing with the id of one session and the token of another', async () => {
      const [ann, bob] = [await sessions.create({ a: 1 }), await sessions.create({ a: 2 })];
      const outcomes = await sessions.outcomes({ id: ann.id, tokenHash: bob.tokenHash });
      assert(!Object.values(outcomes).some((status) => ['applied', 'read', 'unfit'].includes(status)));
      assert.notEqual((await sessions.store.delete({ id: ann.id, tokenHash: bob.tokenHash })).status, 'deleted');
      assert.deepEqual([await sessions.values(ann), await sessions.values(bob)], [{ a: 1 }, { a: 2 }]);
    });
  });
}
