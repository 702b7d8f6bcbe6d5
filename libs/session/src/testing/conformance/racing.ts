import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { AtomicOperation, SessionRef } from '../../core/store.js';
import type { TestRunner } from './runner.js';
import { atOnce, LONG, newRef, NEVER, NO_DELTA, SHORT, tally, type Sessions, type Values } from './sessions.js';

/** Requests that write to one session at once. */
const MANY = 40;

/** How often a race is run whose outcome is decided by the first requests alone: the others come too late to matter. */
const ROUNDS = 25;
const FEW = 10;

/** Enough that some of them are prolonged just when they expire. */
const SESSIONS = 200;

const byNumber = (a: number, b: number) => a - b;
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

export function describeRaces({ describe, it }: TestRunner, sessions: Sessions): void {
  const apply = (ref: SessionRef, operation: AtomicOperation) => sessions.store.apply(ref, operation);

  describe(`${MANY} at once`, () => {
    it('increment without losing one, and each answers a value of its own', async () => {
      const created = await sessions.create({ other: 1 });
      const answers = await atOnce(MANY, () => sessions.applied(created, { kind: 'increment', key: 'n', by: 1 }));
      assert.deepEqual(
        (answers as number[]).sort(byNumber),
        upTo(MANY).map((index) => index + 1),
      );
      assert.deepEqual(await sessions.values(created), { n: MANY, other: 1 });
    });

    it('append without losing one, and what one call appends stands together', async () => {
      const created = await sessions.create();
      const lengths = await atOnce(MANY, async (index) => {
        const items = JSON.stringify([index, index]);
        return ((await sessions.applied(created, { kind: 'append', key: 'list', items })) as unknown[]).length;
      });
      assert.deepEqual(
        lengths.sort(byNumber),
        upTo(MANY).map((index) => 2 * index + 2),
      );
      const list = (await sessions.value(created, 'list')) as number[];
      const firsts = list.filter((_, position) => position % 2 === 0);
      assert.deepEqual(
        list.filter((_, position) => position % 2 === 1),
        firsts,
      );
      assert.deepEqual(firsts.sort(byNumber), upTo(MANY));
    });

    it('update keys of their own, and all of them survive', async () => {
      const alphabet = upTo(26).map((index) => String.fromCharCode(97 + index));
      const old = Object.fromEntries(upTo(14).map((index) => [`old ${index}`, 1]));
      const created = await sessions.create(old);
      await atOnce(MANY, async (index) => {
        const letter = alphabet[index];
        if (letter) await sessions.update(created, { [letter]: index });
        else await sessions.update(created, {}, [`old ${index - 26}`]);
      });
      assert.deepEqual(
        await sessions.values(created),
        Object.fromEntries(alphabet.map((letter, index) => [letter, index])),
      );
    });
  });

  describe(`${FEW} at once, ${ROUNDS} times`, () => {
    const rounds = async (round: () => Promise<void>) => {
      for (let count = 0; count < ROUNDS; count++) await round();
    };

    it('take a value, and one of them gets it', () =>
      rounds(async () => {
        const created = await sessions.create({ nonce: { secret: 1 }, other: 1 });
        const outcomes = await atOnce(FEW, () => apply(created, { kind: 'take', key: 'nonce' }));
        assert.deepEqual(tally(outcomes), { applied: 1, unfit: FEW - 1 });
        assert.deepEqual(await sessions.values(created), { other: 1 });
      }));

    it('set what is absent, and one of them wins', () =>
      rounds(async () => {
        const created = await sessions.create();
        const outcomes = await atOnce(FEW, (index) =>
          apply(created, { kind: 'setIfAbsent', key: 'owner', value: String(index) }),
        );
        assert.deepEqual(tally(outcomes), { applied: 1, unfit: FEW - 1 });
        const winner = outcomes.findIndex(({ status }) => status === 'applied');
        assert.deepEqual(await sessions.values(created), { owner: winner });
      }));

    it('compare and set with one version, and one of them wins', () =>
      rounds(async () => {
        const created = await sessions.create({ a: 'old' });
        const { version } = await sessions.read(created, 'a');
        const outcomes = await atOnce(FEW, (index) =>
          apply(created, { kind: 'compareAndSet', key: 'a', value: String(index), version }),
        );
        assert.deepEqual(tally(outcomes), { applied: 1, unfit: FEW - 1 });
        const winner = outcomes.findIndex(({ status }) => status === 'applied');
        assert.deepEqual(await sessions.values(created), { a: winner });
      }));

    it('ask for a new token, and one of them gets it', () =>
      rounds(async () => {
        const created = await sessions.create({ a: 1 });
        const hashes = upTo(FEW).map(() => newRef().tokenHash);
        const outcomes = await atOnce(FEW, (index) => {
          const replacement = { tokenHash: hashes[index]!, isUnsent: false };
          return sessions.store.replace(created, replacement, sessions.delta({ winner: index }), NEVER);
        });
        assert.deepEqual(tally(outcomes), { applied: 1, replaced: FEW - 1 });
        const winner = outcomes.findIndex(({ status }) => status === 'applied');
        assert.deepEqual(await sessions.statuses(...hashes), ['live']);
        assert.deepEqual(await sessions.values({ tokenHash: hashes[winner]! }), { a: 1, winner });
      }));

    it('delete, and one of them did it', () =>
      rounds(async () => {
        const created = await sessions.create();
        const outcomes = await atOnce(FEW, () => sessions.store.delete(created));
        assert.deepEqual(tally(outcomes), { deleted: 1, gone: FEW - 1 });
      }));
  });

  describe('operations of different kinds at once', () => {
    it('count by reading and comparing without losing one', async () => {
      const created = await sessions.create({ n: 0 });
      await atOnce(8, async () => {
        for (let version = -1, n = 0; ;) {
          const outcome = await apply(created, { kind: 'compareAndSet', key: 'n', value: String(n + 1), version });
          if (outcome.status === 'applied') return;
          const read = await sessions.read(created, 'n');
          version = read.version;
          n = Number(read.value);
        }
      });
      assert.equal(await sessions.value(created, 'n'), 8);
    });

    it('keep plain updates and atomic operations on other keys', async () => {
      const created = await sessions.create();
      const expected: Values = { n: 20, list: upTo(20) };
      await atOnce(20, async (index) => {
        expected[`key ${index}`] = index;
        await Promise.all([
          sessions.update(created, { [`key ${index}`]: index }),
          sessions.applied(created, { kind: 'increment', key: 'n', by: 1 }),
          sessions.applied(created, { kind: 'append', key: 'list', items: `[${index}]` }),
        ]);
      });
      const values = await sessions.values(created);
      (values.list as number[]).sort(byNumber);
      assert.deepEqual(values, expected);
    });
  });

  describe('the end of a session', () => {
    it('is final for updates that race with it', async () => {
      for (let round = 0; round < 5; round++) {
        const created = await sessions.create();
        const outcomes = await atOnce<{ status: string }>(MANY, (index) =>
          index === MANY / 2
            ? sessions.store.delete(created)
            : sessions.store.update(created, sessions.delta({ [`key ${index}`]: 1 }), 0),
        );
        const { deleted, applied = 0, gone = 0 } = tally(outcomes);
        assert.deepEqual([deleted, applied + gone], [1, MANY - 1]);
        assert.deepEqual(await sessions.statuses(created.tokenHash), []);
        assert.deepEqual(await sessions.store.update(created, sessions.delta({ late: 1 }), 0), { status: 'gone' });
      }
    });
  });

  describe('a new token', () => {
    it('keeps what was written before it, and refuses what comes after', async () => {
      const created = await sessions.create();
      const { tokenHash } = newRef();
      const outcomes = await atOnce<{ status: string }>(MANY, (index) =>
        index === MANY / 2
          ? sessions.store.replace(created, { tokenHash, isUnsent: false }, NO_DELTA, 0)
          : apply(created, { kind: 'setIfAbsent', key: `key ${index}`, value: String(index) }),
      );
      const { applied = 0, replaced = 0 } = tally(outcomes);
      assert.equal(applied + replaced, MANY);
      const kept = upTo(MANY).filter((index) => outcomes[index]!.status === 'applied' && index !== MANY / 2);
      assert.deepEqual(
        await sessions.values({ tokenHash }),
        Object.fromEntries(kept.map((index) => [`key ${index}`, index])),
      );
    });
  });

  describe('the clean-up', () => {
    it('never deletes a session that was prolonged at the last moment', async () => {
      const end = performance.now() + 2 * SESSIONS + 2 * SHORT.idleTimeout;
      const cleaning = atOnce(2, async () => {
        while (performance.now() < end) {
          await sessions.store.deleteExpired(10);
          await turn();
        }
      });
      await atOnce(SESSIONS, async (index) => {
        // One after the other, and each sign-in within the milliseconds in which its session expires.
        await delay(2 * index);
        const ref = await sessions.create({}, SHORT);
        await delay(SHORT.idleTimeout - 5 + (index % 6));
        const login = { userId: 'ann', keep: [], ...LONG };
        const { tokenHash } = newRef();
        const { status } = await sessions.store.replace(ref, { tokenHash, isUnsent: false, login }, NO_DELTA, 0);
        await cleaning;
        assert.deepEqual(await sessions.statuses(tokenHash), status === 'applied' ? ['live'] : []);
      });
    });
  });
}
