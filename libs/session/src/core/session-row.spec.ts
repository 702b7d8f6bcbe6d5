import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { resolveOptions } from './resolve-options.js';
import type { Origin, SessionContext } from './session-context.js';
import { SessionRow } from './session-row.js';
import type { Applied, SessionStore, StoredSession } from './store.js';
import { hashToken } from './token.js';

const DAY = 86_400_000;
const APPLIED: Applied = { status: 'applied', expiresAt: 2_000 };
const STORED: StoredSession = {
  expiresAt: 2_000,
  remaining: 60_000,
  absoluteRemaining: 60_500,
  sinceTouched: 0,
  id: '0c5f7d68-5b0e-4d4f-9f5c-5f6f0c3d2a10',
  tokenHash: hashToken('a'),
  userId: undefined,
  data: '{}',
  idleTimeout: DAY,
  persistent: true,
};
const LIVE: Origin = { status: 'live', session: STORED };
const NEW: Origin = { status: 'anonymous', cookieSent: false };
const NO_DELTA = { set: {}, unset: [] };

/** A row whose store answers as told, and notes what it was asked. */
function rowOf(origin: Origin, answers: Partial<Record<keyof SessionStore, unknown>> = {}) {
  const calls: [method: string, ...args: any[]][] = [];
  const store = new Proxy({} as SessionStore, {
    get:
      (_target, method: keyof SessionStore) =>
      (...args: unknown[]) => {
        calls.push([method, ...args]);
        return Promise.resolve(answers[method] ?? APPLIED);
      },
  });
  const toError: SessionContext['toError'] = (info) => Object.assign(new Error(info.code), { session: info });
  const context = { store, options: resolveOptions({}, {}), toError } as SessionContext;
  return { row: new SessionRow(context, origin), calls };
}

describe('SessionRow', () => {
  afterEach(() => void jest.useRealTimers());

  it('has an id before it has a row, and inserts the row with it', async () => {
    const { row, calls } = rowOf(NEW);
    const { id } = row;
    expect([row.exists, row.id, row.expiresAt, row.userId]).toEqual([false, id, undefined, undefined]);
    await row.write({ set: { a: '1' }, unset: ['b'] });
    const [[method, session]] = calls as [[string, Record<string, unknown>]];
    expect([calls.length, method]).toEqual([1, 'create']);
    expect(session).toMatchObject({ id, data: { a: '1' }, userId: undefined, idleTimeout: DAY });
    expect([row.exists, row.id, row.expiresAt]).toEqual([true, id, new Date(2_000)]);
  });

  it.each([
    ['an insert', NEW, 1, 14 * 86_400],
    ['a regeneration', LIVE, 2, 60.5],
  ])(
    'issues with %s the token whose hash it stored, for what is left of the absolute lifetime',
    async (_name, origin, argument, left) => {
      const { row, calls } = rowOf(origin);
      await row.renew(NO_DELTA);
      const { cookie } = row;
      if (cookie.kind !== 'issue') throw new Error('no cookie');
      expect(cookie.maxAge).toBeLessThanOrEqual(left);
      expect(cookie.maxAge).toBeGreaterThan(left - 10);
      expect(calls[0]![argument].tokenHash).toEqual(hashToken(cookie.token));
    },
  );

  it('[cache] counts what is left, and when it was touched, from when the store says', async () => {
    const touched = { ...STORED, idleTimeout: 60_000, absoluteRemaining: 60_000, sinceTouched: 500 };
    const before = performance.now() - 50_000;
    const [now, then] = [touched, { ...touched, countedAt: before }].map(
      (session) => rowOf({ status: 'live', session }).row,
    );
    expect([now!.isTouchDue, then!.isTouchDue]).toEqual([false, true]);
    await then!.renew(NO_DELTA);
    expect(then!.cookie).toMatchObject({ kind: 'issue' });
    expect((then!.cookie as { maxAge: number }).maxAge).toBeLessThanOrEqual(10);
  });

  it('carries id and token of the row it was opened with in every write', async () => {
    const { row, calls } = rowOf(LIVE);
    const ref = { id: STORED.id, tokenHash: STORED.tokenHash };
    await row.write(NO_DELTA);
    await row.touch();
    await row.touch(0);
    await row.apply({ kind: 'increment', key: 'n', by: 1 }, undefined);
    await row.remove();
    expect(calls.map(([method]) => method)).toEqual(['update', 'touch', 'touch', 'apply', 'delete']);
    for (const [, used] of calls) expect(used).toMatchObject(ref);
    expect(calls.slice(0, 3).map((call) => call.at(-1) as number)).toEqual([Infinity, DAY / 20, 0]);
    expect(row.cookie).toEqual({ kind: 'expire' });
  });

  it('goes on with the token that replaced the first', async () => {
    const { row, calls } = rowOf(LIVE);
    await row.renew(NO_DELTA);
    await row.write(NO_DELTA);
    await row.renew(NO_DELTA);
    const [first, write, second] = calls as unknown as [any[], any[], any[]];
    expect(write[1].tokenHash).toEqual(first[2].tokenHash);
    expect(write[1].tokenHash).not.toEqual(STORED.tokenHash);
    // The browser has the token that the request came with; the one in between was never out.
    expect([first[2].isUnsent, second[2].isUnsent]).toEqual([false, true]);
  });

  it('signs in with a lifetime of its own, and inserts where there is no row', async () => {
    const signIn = { userId: 'ann', keep: [], idleTimeout: 5, absoluteTimeout: 10, persistent: false };
    const known = rowOf(LIVE);
    await known.row.renew(NO_DELTA, signIn);
    expect(known.calls[0]![2].login).toBe(signIn);
    const fresh = rowOf(NEW);
    await fresh.row.renew(NO_DELTA, signIn);
    expect(fresh.calls[0]![1]).toMatchObject({ userId: 'ann', idleTimeout: 5, absoluteTimeout: 10, persistent: false });
    for (const { row } of [known, fresh]) {
      expect([row.userId, row.cookie]).toEqual(['ann', expect.objectContaining({ kind: 'issue', maxAge: undefined })]);
    }
  });

  it.each([
    ['gone', 'SESSION_GONE'],
    ['replaced', 'SESSION_REPLACED'],
  ])('says so where the row is %s, and tells the browser nothing', async (status, code) => {
    const missed = { status };
    const { row } = rowOf(LIVE, { update: missed, replace: missed, apply: missed, read: missed, touch: undefined });
    await expect(row.write(NO_DELTA)).rejects.toThrow(code);
    await expect(row.renew(NO_DELTA)).rejects.toThrow(code);
    await expect(row.apply({ kind: 'take', key: 'k' }, undefined)).rejects.toThrow(code);
    await expect(row.read('k')).rejects.toThrow(code);
    expect([row.cookie, row.exists]).toEqual([{ kind: 'keep' }, true]);
  });

  it('ends what is gone already, and not what changed hands', async () => {
    const gone = rowOf(LIVE, { delete: { status: 'gone' } });
    await gone.row.remove();
    expect([gone.row.cookie, gone.row.exists]).toEqual([{ kind: 'expire' }, false]);
    const replaced = rowOf(LIVE, { delete: { status: 'replaced' } });
    await expect(replaced.row.remove()).rejects.toThrow('SESSION_REPLACED');
    expect(replaced.row.cookie).toEqual({ kind: 'keep' });
  });

  it.each([
    ['replaced', 'SESSION_REPLACED'],
    ['ambiguous', 'SESSION_AMBIGUOUS'],
  ] as const)('starts no session where the cookie is %s', async (status, code) => {
    const { row, calls } = rowOf({ status });
    await expect(row.write(NO_DELTA)).rejects.toThrow(code);
    await expect(row.renew(NO_DELTA)).rejects.toThrow(code);
    await expect(row.remove()).rejects.toThrow(code);
    await expect(row.apply({ kind: 'increment', key: 'n', by: 1 }, undefined)).rejects.toThrow(code);
    expect([calls, row.cookie]).toEqual([[], { kind: 'keep' }]);
  });

  it('clears a cookie that was sent, and sends nothing where none was', async () => {
    const without = rowOf(NEW);
    await without.row.remove();
    expect(without.row.cookie).toEqual({ kind: 'keep' });
    const withJunk = rowOf({ status: 'anonymous', cookieSent: true });
    await withJunk.row.remove();
    expect(withJunk.row.cookie).toEqual({ kind: 'expire' });
    expect([...without.calls, ...withJunk.calls]).toEqual([]);
  });

  it('starts anew after its end', async () => {
    const { row, calls } = rowOf(LIVE, { delete: { status: 'deleted' } });
    await row.remove();
    await row.write(NO_DELTA);
    expect(calls.map(([method]) => method)).toEqual(['delete', 'create']);
    expect(row.id).not.toBe(STORED.id);
    expect(row.cookie.kind).toBe('issue');
  });

  it('knows when a touch is due, of this session and since the last one', async () => {
    const due = { ...STORED, sinceTouched: DAY / 20 + 1 };
    const { row } = rowOf({ status: 'live', session: due });
    expect([row.isTouchDue, rowOf(LIVE).row.isTouchDue, rowOf(NEW).row.isTouchDue]).toEqual([true, false, false]);
    await row.write(NO_DELTA);
    expect(row.isTouchDue).toBe(false);
    const remembered = { ...due, idleTimeout: 30 * DAY };
    expect(rowOf({ status: 'live', session: remembered }).row.isTouchDue).toBe(false);
  });

  it('[due] has a write move the idle expiry where that is due, and not again afterwards', async () => {
    const due = { ...STORED, sinceTouched: DAY / 20 + 1 };
    const { row, calls } = rowOf({ status: 'live', session: due });
    await row.write(NO_DELTA);
    await row.write(NO_DELTA);
    await row.renew(NO_DELTA);
    expect(calls.map((call) => call.at(-1) as number)).toEqual([DAY / 20, Infinity, Infinity]);
  });

  it('[due] becomes due while a request goes on', async () => {
    jest.useFakeTimers();
    const almost = { ...STORED, sinceTouched: DAY / 20 - 20 };
    const { row, calls } = rowOf({ status: 'live', session: almost });
    await row.write(NO_DELTA);
    jest.advanceTimersByTime(19);
    await row.write(NO_DELTA);
    jest.advanceTimersByTime(1);
    await row.write(NO_DELTA);
    expect(calls.map((call) => call.at(-1) as number)).toEqual([Infinity, Infinity, DAY / 20]);
  });

  describe('without a row', () => {
    it('is the INSERT of an atomic operation', async () => {
      const { row, calls } = rowOf(NEW);
      expect(await row.apply({ kind: 'increment', key: 'n', by: 2 }, '40')).toEqual({ status: 'applied', value: '42' });
      expect([calls[0]![0], calls[0]![1].data]).toEqual(['create', { n: '42' }]);
    });

    it('hands out what it takes, and stores nothing of it', async () => {
      const { row, calls } = rowOf(NEW);
      expect(await row.apply({ kind: 'take', key: 'n' }, '1')).toEqual({ status: 'applied', value: '1' });
      expect(calls[0]![1].data).toEqual({});
    });

    it('inserts nothing that does not fit', async () => {
      const { row, calls } = rowOf(NEW);
      expect(await row.apply({ kind: 'increment', key: 'n', by: 2 }, '"x"')).toMatchObject({ status: 'unfit' });
      const value = JSON.stringify('x'.repeat(65_536 - 8));
      expect(await row.apply({ kind: 'setIfAbsent', key: 'k', value: '1' }, '2')).toMatchObject({ value: '2' });
      expect(await row.apply({ kind: 'setIfAbsent', key: 'k', value }, undefined)).toMatchObject({ status: 'applied' });
      const other = rowOf(NEW);
      const larger = JSON.stringify('x'.repeat(65_536 - 7));
      expect(await other.row.apply({ kind: 'setIfAbsent', key: 'k', value: larger }, undefined)).toEqual({
        status: 'unfit',
        value: undefined,
        version: 0,
      });
      expect([calls.length, other.calls]).toEqual([1, []]);
    });

    it('has nothing to read or touch', async () => {
      const { row, calls } = rowOf(NEW);
      expect([await row.read('n'), await row.touch(0), calls]).toEqual([undefined, undefined, []]);
    });
  });

  describe('another lifetime', () => {
    const WEEK = { idleTimeout: 7 * DAY, persistent: true };

    it('goes with the next write of the row, and not twice', async () => {
      const { row, calls } = rowOf(LIVE);
      row.changeLifetime(WEEK);
      expect([row.isLifetimeChanged, row.lifetime]).toEqual([true, WEEK]);
      await row.write(NO_DELTA);
      await row.write(NO_DELTA);
      expect(calls.map(([method, , delta]) => [method, (delta as { lifetime?: unknown }).lifetime])).toEqual([
        ['update', WEEK],
        ['update', undefined],
      ]);
      expect([row.isLifetimeChanged, row.lifetime, row.cookie]).toEqual([false, WEEK, { kind: 'keep' }]);
    });

    it('is none where it is as it was', async () => {
      const { row } = rowOf(LIVE);
      row.changeLifetime({ idleTimeout: DAY, persistent: true });
      expect(row.isLifetimeChanged).toBe(false);
    });

    it('is that of the row that it inserts, which lives as long', async () => {
      const { row, calls } = rowOf(NEW);
      row.changeLifetime({ idleTimeout: 30 * DAY, persistent: false });
      expect(row.isLifetimeChanged).toBe(false);
      await row.write(NO_DELTA);
      const lifetime = { idleTimeout: 30 * DAY, absoluteTimeout: 30 * DAY, persistent: false };
      expect(calls[0]![1]).toMatchObject(lifetime);
      expect(row.cookie).toMatchObject({ kind: 'issue', maxAge: undefined });
    });

    it('moves the absolute expiry in the request that began it, and in no other', async () => {
      const { row, calls } = rowOf(LIVE);
      await row.restart(NO_DELTA, []);
      const token = row.cookie;
      row.changeLifetime({ idleTimeout: 30 * DAY, persistent: true });
      await row.write(NO_DELTA);
      expect(calls[1]![2]).toMatchObject({ lifetime: { idleTimeout: 30 * DAY, absoluteTimeout: 30 * DAY } });
      expect(row.cookie).toMatchObject({ kind: 'issue', token: (token as { token: string }).token });
      expect((row.cookie as { maxAge: number }).maxAge).toBeCloseTo((30 * DAY) / 1000, -1);
    });

    it('comes with a new token where the browser has to be told', async () => {
      const { row, calls } = rowOf(LIVE);
      row.changeLifetime({ idleTimeout: DAY, persistent: false });
      await row.write({ set: { a: '1' }, unset: [] });
      const [[method, ref, replacement, delta]] = calls as [[string, ...unknown[]]];
      expect([method, ref]).toMatchObject(['replace', { tokenHash: STORED.tokenHash }]);
      expect(replacement).toMatchObject({ isUnsent: false, login: undefined });
      expect(delta).toMatchObject({ set: { a: '1' }, lifetime: { persistent: false } });
      expect(row.cookie).toMatchObject({ kind: 'issue', maxAge: undefined });
    });

    it('is forgotten with a sign-in, and with the session', async () => {
      const { row } = rowOf(LIVE, { delete: { status: 'deleted' } });
      row.changeLifetime(WEEK);
      await row.renew(NO_DELTA, { userId: 'ann', keep: [], idleTimeout: 1, absoluteTimeout: 2, persistent: true });
      expect(row.lifetime.idleTimeout).toBe(1);
      row.changeLifetime(WEEK);
      await row.remove();
      expect(row.lifetime.idleTimeout).toBe(DAY);
    });
  });

  it('restarts without a row by another id, and asks nobody', async () => {
    const { row, calls } = rowOf(NEW);
    const { id } = row;
    await row.restart(NO_DELTA, []);
    expect([calls, row.exists, row.id === id]).toEqual([[], false, false]);
  });
});
