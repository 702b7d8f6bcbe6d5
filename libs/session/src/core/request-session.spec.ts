import { describe, expect, it, jest } from '@jest/globals';
import { SessionStoreError, type StoreFailure } from './errors.js';
import type { SessionEvent } from './events.js';
import { RequestSession } from './request-session.js';
import { resolveOptions } from './resolve-options.js';
import type { Origin, SchemaCheck, SessionContext } from './session-context.js';
import type { Applied, SessionStore } from './store.js';
import { hashToken } from './token.js';

const APPLIED: Applied = { status: 'applied', expiresAt: 1_000 };
const NEW: Origin = { status: 'anonymous', cookieSent: false };

const live = (data: object, sinceTouched = 0): Origin => ({
  status: 'live',
  session: {
    expiresAt: 1_000,
    remaining: 1_000,
    absoluteRemaining: 1_000,
    sinceTouched,
    id: 'the id',
    tokenHash: hashToken('a'),
    userId: undefined,
    data: JSON.stringify(data),
    idleTimeout: 86_400_000,
    persistent: true,
  },
});

type Answers = Partial<Record<keyof SessionStore, (...args: any[]) => unknown>>;

/** A session whose store answers as told, and notes what it was asked. */
function sessionOf(origin: Origin, answers: Answers = {}, schema?: SchemaCheck) {
  const calls: [method: string, ...args: any[]][] = [];
  const events: SessionEvent[] = [];
  const defaults: Answers = {
    create: () => APPLIED,
    touch: () => APPLIED,
    delete: () => ({ status: 'deleted' }),
    read: () => ({ status: 'read', value: '1', version: 1 }),
    apply: (_ref, { kind, value, items }) => ({
      status: 'applied',
      value: kind === 'increment' ? '7' : (items ?? value),
    }),
  };
  const store = new Proxy({} as SessionStore, {
    get:
      (_target, method: keyof SessionStore) =>
      async (...args: unknown[]) => {
        calls.push([method, ...args]);
        const answer = answers[method] ?? defaults[method] ?? (() => APPLIED);
        return answer(...args);
      },
  });
  const context: SessionContext = {
    store,
    options: resolveOptions({}, {}),
    schema,
    toError: (info) => Object.assign(new Error(info.message), { session: info }),
    emit: (event) => events.push(event),
    report: () => undefined,
  };
  return { session: new RequestSession(context, origin), calls, events, methods: () => calls.map(([name]) => name) };
}

const codeOf = async (operation: Promise<unknown> | (() => unknown)) => {
  try {
    await (typeof operation === 'function' ? operation() : operation);
  } catch (error) {
    return (error as { session?: { code: string } }).session?.code ?? error;
  }
  return undefined;
};

const failing =
  (failure: StoreFailure, reason = '08006') =>
  () => {
    throw new SessionStoreError(failure, reason);
  };

const looks: [name: string, look: (session: RequestSession) => unknown][] = [
  ['get', (session) => session.get('a')],
  ['has', (session) => session.has('a')],
  ['keys', (session) => session.keys()],
  ['entries', (session) => session.entries()],
  ['isNew', (session) => session.isNew],
  ['userId', (session) => session.userId],
  ['expiresAt', (session) => session.expiresAt],
  ['flash', (session) => session.flash('notice')],
  ['pull', (session) => session.pull('a')],
  ['exists', (session) => session.exists],
  ['save', (session) => session.save()],
];

describe('RequestSession', () => {
  it.each(looks)('%s looks at it', (_name, look) => {
    const { session } = sessionOf(live({ a: 1 }));
    expect(session.isLookedAt).toBe(false);
    void look(session);
    expect(session.isLookedAt).toBe(true);
  });

  it('set, delete and clear do not', () => {
    const { session } = sessionOf(live({ a: 1 }));
    session.set('a', 2);
    session.delete('b');
    session.clear();
    expect(session.isLookedAt).toBe(false);
  });

  it.each<[name: string, isUnchanged: boolean, work: (session: RequestSession) => unknown]>([
    ['a value that was read', true, (session) => session.get('a')],
    ['a key that is not there', true, (session) => [session.get('c'), session.has('c'), session.keys()]],
    ['an object that was handed out', false, (session) => session.get('b')],
    ['a key that was set', false, (session) => session.set('a', 1)],
    ['a key that was deleted', false, (session) => session.delete('a')],
    ['a message', false, (session) => session.flash('notice', 'text')],
    ['an operation', false, (session) => session.increment('a')],
    ['another lifetime', false, (session) => session.changeLifetime({ idleTimeout: 60_000, persistent: false })],
  ])('[idle head] says whether there may be something to write: %s', (_name, isUnchanged, work) => {
    const { session } = sessionOf(live({ a: 1, b: {} }));
    void work(session);
    expect(session.isUnchanged).toBe(isUnchanged);
  });

  describe('at the edge', () => {
    it('does nothing where nothing is to be done', () => {
      const { session, calls } = sessionOf(live({ a: [1] }));
      session.get('a');
      expect([session.writeRest(), calls]).toEqual([undefined, []]);
    });

    it('writes the changes, or touches when that is due', async () => {
      const changed = sessionOf(live({ a: 1 }, 86_400_000));
      changed.session.set('a', 2);
      await changed.session.writeRest();
      expect(changed.calls).toEqual([['update', expect.anything(), { set: { a: '2' }, unset: [] }, 4_320_000]]);
      const read = sessionOf(live({ a: 1 }, 86_400_000));
      expect(read.session.writeRest()).toBeUndefined();
      read.session.get('a');
      await read.session.writeRest();
      expect(read.methods()).toEqual(['touch']);
    });

    it('takes a touch that fails for an event', async () => {
      const { session, events } = sessionOf(live({}, 86_400_000), { touch: failing('unavailable', 'ECONNREFUSED') });
      session.keys();
      await session.writeRest();
      expect(events).toEqual([{ type: 'store-failed', operation: 'touch', reason: 'ECONNREFUSED' }]);
      expect(session.rejected).toBeUndefined();
    });

    it('rejects for a value that is no JSON, and asks nobody', async () => {
      const { session, calls } = sessionOf(live({}));
      session.set('when', new Date(0));
      expect(await codeOf(session.writeRest()!)).toBe('SESSION_VALUE');
      expect(calls).toEqual([]);
    });
  });

  describe('operations', () => {
    it('reach the store in call order, however long one takes', async () => {
      let answer!: () => void;
      const slow = new Promise<void>((resolve) => (answer = resolve));
      const { session, methods } = sessionOf(live({ n: 1 }), {
        touch: () => slow.then(() => APPLIED),
      });
      const all = [session.touch(), session.increment('n'), session.regenerate(), session.destroy()];
      await Promise.resolve();
      expect(methods()).toEqual(['touch']);
      answer();
      await Promise.all(all);
      expect(methods()).toEqual(['touch', 'apply', 'replace', 'delete']);
      await session.running;
      expect(session.running).toBeUndefined();
    });

    it('take along what was changed before them, and not what is changed after', async () => {
      const { session, calls } = sessionOf(live({ list: ['a'], n: 1 }));
      (session.get('list') as string[]).push('b');
      const items: string[] = ['x'];
      const all = [session.save(), session.append('log', items), session.increment('n')];
      (session.get('list') as string[]).push('c');
      items.push('y');
      session.set('n', 100);
      const last = session.regenerate();
      session.set('n', 5);
      await Promise.all([...all, last]);
      await session.writeRest();
      const deltas = calls.map((call) => call.find((part) => part?.set)?.set as object | undefined);
      expect(calls.map(([name]) => name)).toEqual(['update', 'apply', 'apply', 'replace', 'update']);
      expect(deltas).toEqual([
        { list: '["a","b"]' },
        undefined,
        undefined,
        { list: '["a","b","c"]', n: '100' },
        { n: '5' },
      ]);
      expect(calls[1]![2]).toEqual({ kind: 'append', key: 'log', items: '[["x"]]' });
    });

    it('save the key of an atomic operation first, and that key alone', async () => {
      const { session, calls } = sessionOf(live({}));
      session.set('n', 6);
      session.set('other', 1);
      expect(await session.increment('n')).toBe(7);
      expect(calls.map(([name, , delta]) => [name, delta.set])).toEqual([
        ['update', { n: '6' }],
        ['apply', undefined],
      ]);
      expect(session.get('n')).toBe(7);
      await session.writeRest();
      expect(calls[2]![2]).toEqual({ set: { other: '1' }, unset: [] });
    });

    it('make one pending again what they could not write', async () => {
      for (const failure of ['unavailable', 'unknown', 'conflict', 'refused'] as const) {
        let isAway = true;
        const update = () => (isAway ? failing(failure)() : APPLIED);
        const { session, calls, events } = sessionOf(live({ a: 1, gone: 1 }), { update });
        session.set('a', 2);
        session.delete('gone');
        const code = {
          unavailable: 'SESSION_UNAVAILABLE',
          unknown: 'SESSION_OUTCOME_UNKNOWN',
          conflict: 'SESSION_CONFLICT',
          refused: 'SESSION_FAILED',
        }[failure];
        expect(await codeOf(session.save())).toBe(code);
        expect(session.rejected?.session.code).toBe(code);
        expect(events).toEqual([{ type: 'store-failed', operation: 'save', reason: '08006' }]);
        isAway = false;
        session.set('b', 1);
        await session.save();
        expect(calls[1]![2]).toEqual({ set: { a: '2', b: '1' }, unset: ['gone'] });
        expect(session.writeRest()).toBeUndefined();
      }
    });

    it('remember the first rejection, and not an error of the application', async () => {
      const { session } = sessionOf(live({ n: 1 }), { apply: () => ({ status: 'unfit', value: '"x"', version: 1 }) });
      const mine = new Error('mine');
      expect(await codeOf(session.update('n', () => Promise.reject(mine)))).toBe(mine);
      expect(session.rejected).toBeUndefined();
      expect(await codeOf(session.increment('n'))).toBe('SESSION_VALUE');
      expect(await codeOf(session.take('$x'))).toBe('SESSION_KEY');
      await session.running;
      expect(session.rejected?.session.code).toBe('SESSION_VALUE');
    });

    it('a sign-in takes the kept keys along and leaves the rest behind, from the call on', async () => {
      const { session, calls } = sessionOf(live({ cart: ['a'], planted: 1 }));
      (session.get('cart') as string[]).push('b');
      session.set('planted', 2);
      const login = session.login('ann', { keep: ['cart'] });
      session.set('after', 1);
      expect(session.keys()).toEqual(['cart', 'after']);
      await login;
      const [, , replacement, delta] = calls[0]!;
      expect(replacement.login).toMatchObject({ userId: 'ann', keep: ['cart'] });
      expect(delta).toEqual({ set: { cart: '["a","b"]' }, unset: [] });
      await session.writeRest();
      expect(calls[1]![2]).toEqual({ set: { after: '1' }, unset: [] });
    });

    it('destroy drops what there is, and what comes after it begins anew', async () => {
      const { session, calls } = sessionOf(live({ a: 1 }));
      session.set('a', 2);
      const increment = session.increment('n');
      const destroyed = session.destroy();
      expect(session.keys()).toEqual([]);
      session.set('notice', 'bye');
      await Promise.all([increment, destroyed]);
      expect(session.keys()).toEqual(['notice']);
      await session.writeRest();
      expect(calls.map(([name]) => name)).toEqual(['apply', 'delete', 'create']);
      expect(calls[2]![1].data).toEqual({ notice: '"bye"' });
    });
  });

  describe('update', () => {
    it('[deadline] has one deadline for all that it reads and writes, and takes as long as the function does besides', async () => {
      const { session, calls } = sessionOf(live({ n: 1 }));
      const before = performance.now();
      await session.update('n', async (n: number) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return n + 1;
      });
      const [read, apply] = calls;
      expect([read![0], apply![0]]).toEqual(['read', 'apply']);
      const [readUntil, applyUntil] = [read![3], apply![3]] as [number, number];
      expect(readUntil - before).toBeGreaterThanOrEqual(2_000);
      expect(readUntil - before).toBeLessThan(3_000);
      expect(applyUntil - readUntil).toBeGreaterThanOrEqual(49);
      expect(applyUntil).toBeLessThanOrEqual(performance.now() + 2_000);
    });

    it('runs its function again on a newer value, and gives up after a while', async () => {
      let version = 1;
      const { session } = sessionOf(live({ n: 1 }), {
        read: () => ({ status: 'read', value: String(version), version }),
        apply: () => ({ status: 'unfit', value: '0', version: ++version }),
      });
      const seen: unknown[] = [];
      expect(await codeOf(session.update('n', (n) => (seen.push(n), 0)))).toBe('SESSION_CONFLICT');
      expect(seen).toEqual(seen.map((_, index) => index + 1));
      expect(seen.length).toBeGreaterThan(5);
      expect(seen.length).toBeLessThanOrEqual(50);
    });

    it('says so where there is no room, and does not try again', async () => {
      let runs = 0;
      const { session } = sessionOf(live({ n: 1 }), { apply: () => ({ status: 'unfit', value: '1', version: 1 }) });
      expect(await codeOf(session.update('n', () => ++runs))).toBe('SESSION_VALUE');
      expect(runs).toBe(1);
    });

    it('leaves an unsaved value to the edge where the function fails before there is a row', async () => {
      const { session, calls } = sessionOf(NEW);
      session.set('n', 1);
      const seen: unknown[] = [];
      await codeOf(session.update('n', (n) => Promise.reject(seen.push(n))));
      await session.writeRest();
      expect([seen, calls[0]![1].data]).toEqual([[1], { n: '1' }]);
    });
  });

  it('setIfAbsent tells a race from a session that is full', async () => {
    const unfit = (version: number) => ({ status: 'unfit', value: undefined, version });
    const race = [unfit(1), unfit(2), { status: 'applied', value: '1' }];
    const raced = sessionOf(live({}), { apply: () => race.shift() });
    expect(await raced.session.setIfAbsent('key', 1)).toBe(true);
    const full = sessionOf(live({}), { apply: () => unfit(3) });
    expect(await codeOf(full.session.setIfAbsent('key', 1))).toBe('SESSION_VALUE');
    expect(full.calls).toHaveLength(2);
  });

  it('setIfAbsent tries again until one deadline, and says then that others keep changing the key', async () => {
    let version = 0;
    const { session, calls } = sessionOf(live({}), { apply: () => ({ status: 'unfit', version: ++version }) });
    const times = jest.spyOn(performance, 'now');
    try {
      let now = 0;
      times.mockImplementation(() => (now += 300));
      expect(await codeOf(session.setIfAbsent('key', 1))).toBe('SESSION_CONFLICT');
    } finally {
      times.mockRestore();
    }
    expect(calls.length).toBeGreaterThan(2);
    const untils = calls.slice(1).map((call) => call[3]);
    expect(new Set(untils).size).toBe(1);
  });

  describe('after the response has begun', () => {
    it('refuses what would need a cookie or another write at the edge', async () => {
      const { session, calls } = sessionOf(live({ a: 1 }));
      session.close();
      for (const change of [
        () => session.set('a', 2),
        () => session.delete('a'),
        () => session.clear(),
        () => session.flash('notice', 'x'),
        () => session.pull('a'),
        () => session.regenerate(),
        () => session.login('ann'),
        () => session.destroy(),
      ]) {
        expect(await codeOf(change)).toBe('SESSION_COMMITTED');
      }
      expect([calls, session.get('a')]).toEqual([[], 1]);
    });

    it('saves, touches and counts in a row that is there, and inserts none', async () => {
      const { session, methods } = sessionOf(live({ n: 1, list: [1] }));
      const list = session.get('list') as number[];
      session.close();
      list.push(2);
      await session.save();
      await session.touch();
      await session.increment('n');
      expect(methods()).toEqual(['update', 'touch', 'apply']);
      const fresh = sessionOf(NEW);
      fresh.session.close();
      for (const operation of ['save', 'increment', 'append', 'take', 'touch'] as const) {
        expect(await codeOf(fresh.session[operation]('n'))).toBe('SESSION_COMMITTED');
      }
      expect(fresh.calls).toEqual([]);
    });
  });

  it('checks a schema when a value is set, and again when it is saved', async () => {
    const schema: SchemaCheck = (_key, value) => (Array.isArray(value) && value.length > 1 ? ['maxSize'] : []);
    const { session, calls, events } = sessionOf(live({ list: [1], long: [1, 2] }), {}, schema);
    expect(session.keys()).toEqual(['list']);
    expect(events).toEqual([{ type: 'invalid-key', id: 'the id', key: 'long', constraints: ['maxSize'] }]);
    expect(await codeOf(() => session.set('list', [1, 2]))).toBe('SESSION_VALUE');
    expect(await codeOf(session.setIfAbsent('new', [1, 2]))).toBe('SESSION_VALUE');
    (session.get('list') as number[]).push(2);
    expect(await codeOf(session.save())).toBe('SESSION_VALUE');
    expect(calls).toEqual([]);
  });

  it('turns a wrong duration of login into an error of the session', async () => {
    const { session, calls } = sessionOf(live({}));
    expect(await codeOf(session.login('ann', { idleTimeout: 'soon' }))).toBe('SESSION_VALUE');
    expect([calls, session.rejected?.session.code]).toEqual([[], 'SESSION_VALUE']);
  });
});
