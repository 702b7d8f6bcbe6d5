import assert from 'node:assert/strict';
import type { TestRunner } from './runner.js';
import type { Sessions } from './sessions.js';

/** Puts a text where the store keeps the data of a session. */
export type Plant = (id: string, dataText: string) => Promise<void>;

export function describePlantedData({ describe, it }: TestRunner, sessions: Sessions, plant: Plant): void {
  describe('data that somebody else has written', () => {
    it('keeps what a session itself would not write', async () => {
      const created = await sessions.create();
      await plant(created.id, '{"__proto__":{"x":1},"":0,"constructor":{"__proto__":1},"n":1}');
      await sessions.update(created, { n: 2 });
      assert.equal(await sessions.applied(created, { kind: 'increment', key: 'n', by: 1 }), 3);
      const { data } = await sessions.live(created);
      assert.deepEqual(JSON.parse(data), JSON.parse('{"__proto__":{"x":1},"":0,"constructor":{"__proto__":1},"n":3}'));
    });

    it('is no number to count on where it is beyond all numbers', async () => {
      const created = await sessions.create();
      await plant(created.id, '{"n":9007199254740993,"m":1e300}');
      for (const key of ['n', 'm']) await sessions.unfit(created, { kind: 'increment', key, by: 1 });
    });

    it('is unreadable where it is no object, and fails nobody else', async () => {
      const other = await sessions.create({ a: 1 });
      for (const text of ['[]', '[{"a":1}]', '"text"', '"{}"', '3', 'null', 'true']) {
        const { id, tokenHash } = await sessions.create();
        await plant(id, text);
        assert.deepEqual(await sessions.store.find([tokenHash]), [{ status: 'unreadable', id }], text);
        assert.deepEqual(await sessions.statuses(tokenHash, other.tokenHash), ['live', 'unreadable'], text);
      }
      assert.deepEqual(await sessions.values(other), { a: 1 });
    });
  });
}
