import { describe, expect, it } from '@jest/globals';
import { SessionStoreError } from './errors.js';
import type { SessionEvent } from './events.js';
import type { RequestSession } from './request-session.js';
import { resolveOptions } from './resolve-options.js';
import type { SessionContext } from './session-context.js';
import { SessionManager } from './session-manager.js';
import type { Found, SessionStore, StoredSession } from './store.js';
import { createToken, hashToken } from './token.js';

const session = (token: string, data = '{"a":1}'): StoredSession => ({
  id: `id of ${token}`,
  tokenHash: hashToken(token),
  userId: undefined,
  data,
  idleTimeout: 1_000,
  persistent: true,
  expiresAt: 1_000,
  remaining: 1_000,
  absoluteRemaining: 1_000,
  sinceTouched: 0,
});
const live = (token: string, data?: string): Found => ({ status: 'live', session: session(token, data) });

const unreadable: Found = { status: 'unreadable', id: 'the id' };

function managerOf(find: (hashes: readonly Buffer[]) => Promise<Found[]>) {
  const events: SessionEvent[] = [];
  const reports: unknown[] = [];
  const context: SessionContext = {
    store: { find } as SessionStore,
    options: resolveOptions({}, {}),
    schema: undefined,
    toError: (info) => Object.assign(new Error(info.code), { session: info }),
    emit: (event) => events.push(event),
    report: (error) => reports.push(error),
  };
  return { manager: new SessionManager(context), context, events, reports };
}

describe('SessionManager.open', () => {
  it('answers at once where there is nothing to ask for', () => {
    const { manager } = managerOf(() => Promise.reject(new Error('asked')));
    const opened = manager.open([], true) as RequestSession;
    expect([opened.isNew, opened.exists, opened.keys()]).toEqual([true, false, []]);
  });

  it('asks for the hashes of all tokens in one statement', async () => {
    const asked: (readonly Buffer[])[] = [];
    const { manager } = managerOf(async (hashes) => (asked.push(hashes), [live('b')]));
    const opened = await manager.open(['a', 'b'], true);
    expect(asked).toEqual([[hashToken('a'), hashToken('b')]]);
    expect([opened.id, opened.isNew, opened.get('a')]).toEqual(['id of b', false, 1]);
  });

  it('answers at once what the store remembers, and has it judged like anything that was loaded', async () => {
    const { manager, context, events } = managerOf(async () => []);
    const remembered = new Map([
      ['a', session('a')],
      ['odd', session('odd', deepWithProto)],
    ]);
    const byHash = new Map([...remembered].map(([token, found]) => [hashToken(token).toString('hex'), found]));
    context.store.peek = (hash) => byHash.get(hash.toString('hex'));
    expect((manager.open(['a'], true) as RequestSession).get('a')).toBe(1);
    expect((manager.open(['odd'], true) as RequestSession).isNew).toBe(true);
    expect(events).toEqual([{ type: 'unreadable', id: 'id of odd' }]);
    expect((await manager.open(['b'], true)).isNew).toBe(true);
    expect((await manager.open(['a', 'b'], true)).isNew).toBe(true);
  });

  const deep = 100_000;
  const deepWithProto = `{"a":${'['.repeat(deep)}{"__proto__":1}${']'.repeat(deep)}}`;
  const cases: [name: string, found: Found[], isNew: boolean, events: string[]][] = [
    ['nothing', [], true, []],
    ['one live session', [live('a')], false, []],
    ['a live one and a replaced one', [{ status: 'replaced' }, live('a')], false, []],
    ['a replaced one', [{ status: 'replaced' }], true, []],
    ['two live ones', [live('a'), live('b')], true, ['duplicate-cookie']],
    ['a live one and one that is unreadable', [unreadable, live('b')], false, ['unreadable']],
    ['one that is unreadable', [unreadable], true, ['unreadable']],
    ['one too deep to be made safe', [live('a', deepWithProto)], true, ['unreadable']],
    ['two that are unreadable', [unreadable, unreadable], true, ['unreadable', 'unreadable']],
  ];

  it.each(cases)('makes of %s a session that is new: %#', async (_name, found, isNew, types) => {
    const { manager, events } = managerOf(async () => found);
    const opened = await manager.open(['a', 'b'], true);
    expect([opened.isNew, opened.exists]).toEqual([isNew, !isNew]);
    expect(events.map(({ type }) => type)).toEqual(types);
  });

  it('keeps a failure for those who look', async () => {
    const { manager, events } = managerOf(() => Promise.reject(new SessionStoreError('unavailable', '57P03')));
    const opened = await manager.open(['a'], true);
    expect(opened.failure?.session).toMatchObject({ code: 'SESSION_UNAVAILABLE', retryAfter: 2 });
    expect(() => opened.get('a')).toThrow('SESSION_UNAVAILABLE');
    expect(() => opened.set('a', 1)).toThrow('SESSION_UNAVAILABLE');
    await expect(opened.increment('a')).rejects.toThrow('SESSION_UNAVAILABLE');
    expect(events).toEqual([{ type: 'store-failed', operation: 'find', reason: '57P03' }]);
  });

  it('does not hide a failure of another kind', async () => {
    const { manager } = managerOf(() => Promise.reject(new TypeError('a bug')));
    await expect(manager.open(['a'], true)).rejects.toThrow('a bug');
  });

  it('does not take the token for the id', async () => {
    const token = createToken();
    const { manager } = managerOf(async () => []);
    expect((await manager.open([token], true)).id).not.toContain(token);
  });
});

describe('SessionManager.commit', () => {
  const fault = (code: string) => Object.assign(new Error(code), { session: { code } });

  /** A session as far as the edge is concerned. */
  const fakeSession = (parts: Partial<Record<keyof RequestSession, unknown>> = {}) => {
    const did: string[] = [];
    const base = { close: () => did.push('close'), writeRest: () => void did.push('writeRest'), running: undefined };
    return { did, session: Object.assign(base, parts) as unknown as RequestSession };
  };
  const { manager, reports } = managerOf(async () => []);

  it('answers synchronously where nothing is to be written', () => {
    const { session: own, did } = fakeSession();
    expect([manager.commit(own, 200), did]).toEqual([undefined, ['close', 'writeRest']]);
  });

  it.each([200, 302, 404, 499])('writes the rest of a response of %i', async (status) => {
    const { session: own } = fakeSession({ writeRest: () => Promise.reject(fault('SESSION_GONE')) });
    await expect(Promise.resolve(manager.commit(own, status))).resolves.toMatchObject({ message: 'SESSION_GONE' });
  });

  it.each([500, 503])('writes nothing of a response of %i', (status) => {
    const { session: own, did } = fakeSession();
    expect([manager.commit(own, status), did]).toEqual([undefined, ['close']]);
  });

  it('fails a response below 400 where an operation was rejected, and saves nothing', () => {
    const rejected = fault('SESSION_VALUE');
    const { session: own, did } = fakeSession({ rejected });
    expect([manager.commit(own, 399), did]).toEqual([rejected, ['close']]);
    expect(manager.commit(own, 400)).toBeUndefined();
    expect(did).toEqual(['close', 'close', 'writeRest']);
  });

  it('waits for every operation that runs, also for one that is started meanwhile', async () => {
    const did: string[] = [];
    const steps = ['first', 'second'].map((name) => () => Promise.resolve().then(() => did.push(name)));
    const { session: own } = fakeSession({ writeRest: () => void did.push('rest') });
    Object.defineProperty(own, 'running', { get: () => (did.length < 2 ? steps[did.length]!() : undefined) });
    const outcome = manager.commit(own, 200);
    expect(outcome).toBeInstanceOf(Promise);
    await outcome;
    expect(did.at(-1)).toBe('rest');
  });

  it('reports an error that nobody expected, and answers without its text', async () => {
    const { session: own } = fakeSession({ writeRest: () => Promise.reject(new TypeError('of ours')) });
    const outcome = await manager.commit(own, 200);
    expect(outcome?.session).toMatchObject({ code: 'SESSION_FAILED', status: 500 });
    expect(outcome?.session.message).not.toContain('of ours');
    expect(reports).toEqual([new TypeError('of ours')]);
  });
});
