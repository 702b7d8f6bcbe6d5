import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestRunner } from './runner.js';
import { ALWAYS, HOUR, MINUTE, NEVER, NO_DELTA, wasApplied, type Sessions } from './sessions.js';

/** Milliseconds that pass before a touch, so that one can see it. */
const WHILE = 50;
/** What two answers about one moment may differ by: a database may keep whole milliseconds. */
const ROUNDING = 5;

export function describeTouch({ describe, it }: TestRunner, sessions: Sessions): void {
  const isMoved = (from: number, to: number) => to > from + ROUNDING;

  describe('touch', () => {
    it('moves the idle expiry where it is due, and answers it', async () => {
      const created = await sessions.create({ a: 1 });
      await delay(WHILE);
      const { expiresAt } = wasApplied(await sessions.store.touch(created, ALWAYS));
      assert(isMoved(created.expiresAt, expiresAt));
      const found = await sessions.live(created);
      assert(Math.abs(found.expiresAt - expiresAt) < ROUNDING);
      assert.deepEqual(JSON.parse(found.data), { a: 1 });
    });

    it('does nothing before it is due', async () => {
      const created = await sessions.create();
      await delay(WHILE);
      assert.equal(await sessions.store.touch(created, NEVER), undefined);
      const { expiresAt, sinceTouched } = await sessions.live(created);
      assert(!isMoved(created.expiresAt, expiresAt));
      assert(sinceTouched >= WHILE - ROUNDING, `touched ${sinceTouched} ms ago`);
    });

    it('counts from when the expiry was moved last, and not from the last write', async () => {
      const created = await sessions.create();
      await delay(WHILE);
      assert.equal(await sessions.store.touch(created, MINUTE), undefined);
      await sessions.update(created, { a: 1 }, [], NEVER);
      wasApplied(await sessions.store.touch(created, WHILE / 2));
      assert.equal(await sessions.store.touch(created, MINUTE), undefined);
    });

    it('never prolongs the absolute lifetime', async () => {
      const created = await sessions.create({}, { idleTimeout: 2 * HOUR, absoluteTimeout: HOUR });
      const before = await sessions.live(created);
      await delay(WHILE);
      const { expiresAt } = wasApplied(await sessions.store.touch(created, ALWAYS));
      assert(!isMoved(created.expiresAt, expiresAt));
      const after = await sessions.live(created);
      assert(after.absoluteRemaining <= before.absoluteRemaining - WHILE + ROUNDING);
    });
  });

  describe('the idle expiry', () => {
    for (const [name, write] of [
      ['update', (ref, touchAfter) => sessions.update(ref, { a: 1 }, [], touchAfter)],
      ['an update without changes', (ref, touchAfter) => sessions.store.update(ref, NO_DELTA, touchAfter)],
    ] as const satisfies [string, (ref: any, touchAfter: number) => Promise<any>][]) {
      it(`is moved by ${name} only where that is due`, async () => {
        const created = await sessions.create();
        await delay(WHILE);
        const early = wasApplied(await write(created, MINUTE));
        assert(!isMoved(created.expiresAt, early.expiresAt));
        const known = wasApplied(await write(created, Infinity));
        assert(!isMoved(created.expiresAt, known.expiresAt));
        const due = wasApplied(await write(created, WHILE / 2));
        assert(isMoved(created.expiresAt, due.expiresAt));
        assert(Math.abs((await sessions.live(created)).expiresAt - due.expiresAt) < ROUNDING);
        // It counts as a touch.
        assert.equal(await sessions.store.touch(created, MINUTE), undefined);
      });
    }

    it('is moved by replace only where that is due', async () => {
      const created = await sessions.create();
      await delay(WHILE);
      const early = await sessions.replace(created, {}, NO_DELTA, MINUTE);
      assert(!isMoved(created.expiresAt, early.expiresAt));
      const known = await sessions.replace(early, {}, NO_DELTA, Infinity);
      assert(!isMoved(created.expiresAt, known.expiresAt));
      const due = await sessions.replace(known, {}, NO_DELTA, WHILE / 2);
      assert(isMoved(created.expiresAt, due.expiresAt));
    });
  });
}
