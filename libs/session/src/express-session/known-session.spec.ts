import { describe, expect, it } from '@jest/globals';
import { deltaBetween, isEmpty, KnownSession, snapshotOf } from './known-session.js';

const LIMIT = 1_000;
const between = (before: object, after: object, limit = LIMIT) =>
  deltaBetween(snapshotOf(before), snapshotOf(after), limit);

describe('deltaBetween', () => {
  it('has what differs, per top-level key', () => {
    expect(between({ same: [1], changed: { a: 1 }, gone: 1 }, { same: [1], changed: { a: 2 }, fresh: null })).toEqual({
      set: { changed: '{"a":2}', fresh: 'null' },
      unset: ['gone'],
    });
    expect(isEmpty(between({ a: 1 }, { a: 1 }))).toBe(true);
  });

  it('takes a value for what JSON makes of it', () => {
    const { set, unset } = between({ f: 1 }, { when: new Date(0), f: () => 1, none: undefined });
    expect(set).toEqual({ when: '"1970-01-01T00:00:00.000Z"' });
    expect(unset).toEqual(['f']);
  });

  it('does not see when the cookie ends', () => {
    const cookie = (expires: number) => ({ cookie: { originalMaxAge: 60_000, expires: new Date(expires) } });
    expect(isEmpty(between(cookie(1), cookie(2)))).toBe(true);
  });

  it.each([
    ['SESSION_VALUE', { a: 'x\0' }],
    ['SESSION_VALUE', { a: '\ud800' }],
    ['SESSION_VALUE', { a: 2 ** 60 }],
    ['SESSION_VALUE', { a: 'x'.repeat(LIMIT) }],
    ['SESSION_VALUE', { a: 'x'.repeat(600), b: 'x'.repeat(600) }],
    ['SESSION_KEY', { $a: 1 }],
    ['SESSION_KEY', { '': 1 }],
    ['SESSION_KEY', { ['x'.repeat(129)]: 1 }],
  ])('refuses with %s what cannot be kept', (code, after) => {
    expect(() => between({}, after)).toThrow(expect.objectContaining({ code }));
  });

  it('refuses what JSON.stringify refuses, without what it says', () => {
    const circle: Record<string, unknown> = { secret: 'canary' };
    circle.self = circle;
    expect(() => snapshotOf({ circle })).toThrow(expect.objectContaining({ code: 'SESSION_VALUE' }));
    expect(() => snapshotOf({ circle })).not.toThrow('canary');
    expect(() => snapshotOf({ big: 1n })).toThrow('$.big');
  });

  it('judges no key that is as it was, and lets what is too large shrink', () => {
    expect(isEmpty(between({ $theirs: 1, a: '\0' }, { $theirs: 1, a: '\0' }))).toBe(true);
    const large = { a: 'x'.repeat(2_000), b: 1 };
    expect(between(large, { a: large.a })).toEqual({ set: {}, unset: ['b'] });
    expect(() => between(large, { ...large, c: 1 })).toThrow('maxBytes');
  });
});

describe('KnownSession', () => {
  it('does one thing after the other, also after one that failed', async () => {
    const known = new KnownSession('x');
    const done: number[] = [];
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const first = known.inTurn(async () => {
      await gate;
      done.push(1);
      throw new Error('first');
    });
    const second = known.inTurn(async () => void done.push(2));
    go();
    await expect(first).rejects.toThrow('first');
    await second;
    expect(done).toEqual([1, 2]);
  });
});
