import { describe, expect, it } from '@jest/globals';
import type { StoredSession } from '../../core/store.js';
import { SessionCache } from './session-cache.js';

const LIMITS = { maxSessions: 3, maxBytes: 100_000, maxAge: 2_000 };

function session(id: string, rest: Partial<StoredSession> = {}): StoredSession {
  return {
    id,
    tokenHash: Buffer.alloc(32, 2),
    userId: undefined,
    data: '{}',
    idleTimeout: 60_000,
    persistent: true,
    expiresAt: 0,
    remaining: 60_000,
    absoluteRemaining: 90_000,
    sinceTouched: 500,
    ...rest,
  };
}

/** A cache in which a load takes no time. */
function cacheOf(limits = LIMITS) {
  const cache = new SessionCache(limits);
  const load = (key: string, now: number, found = session(key)) => cache.end(cache.begin(now), key, found);
  const has = (key: string, now = 0) => cache.get(key, now) !== undefined;
  return { cache, load, has };
}

describe('[cache] what is kept', () => {
  it('is as old as the load that found it', () => {
    const { cache, load } = cacheOf();
    load('a', 1_000);
    expect(cache.get('a', 1_700)).toMatchObject({ countedAt: 1_000, remaining: 60_000, sinceTouched: 500 });
  });

  it('is an object for all who ask, which nobody can change', () => {
    const { cache, load } = cacheOf();
    load('a', 0);
    const kept = cache.get('a', 0)!;
    expect(cache.get('a', 0)).toBe(kept);
    expect(() => Object.assign(kept, { userId: 'somebody' })).toThrow(TypeError);
  });

  it('keeps the hash, and not the memory around it', () => {
    const { cache, load } = cacheOf();
    load('a', 0, session('a', { tokenHash: Buffer.from('11'.repeat(32), 'hex') }));
    const { tokenHash } = cache.get('a', 0)!;
    expect(tokenHash.toString('hex')).toBe('11'.repeat(32));
    expect(tokenHash.buffer.byteLength).toBe(32);
  });

  it('is used until maxAge after the load was sent, and not until after it was answered', () => {
    const { cache, has } = cacheOf();
    const load = cache.begin(1_000);
    cache.end(load, 'a', session('a'));
    expect([has('a', 2_999), has('a', 3_000)]).toEqual([true, false]);
  });

  it('is not used after the session has expired', () => {
    const { load, has } = cacheOf();
    load('a', 1_000, session('a', { remaining: 30 }));
    expect([has('a', 1_029), has('a', 1_030)]).toEqual([true, false]);
  });

  it('is at most so many sessions, and the one that was not used for the longest time goes', () => {
    const { load, has } = cacheOf();
    for (const key of ['a', 'b', 'c']) load(key, 0);
    has('a');
    load('d', 0);
    expect(['a', 'b', 'c', 'd'].map((key) => has(key))).toEqual([true, false, true, true]);
  });

  it('is at most so many bytes', () => {
    const { load, has } = cacheOf({ ...LIMITS, maxBytes: 10_000 });
    const half = session('a', { data: `{"a":"${'x'.repeat(5_000)}"}` });
    load('a', 0, half);
    load('b', 0, { ...half, id: 'b' });
    expect([has('a'), has('b')]).toEqual([false, true]);
    load('c', 0, session('c', { data: `{"a":"${'x'.repeat(10_000)}"}` }));
    expect([has('b'), has('c')]).toEqual([true, false]);
  });

  it('is one token of a session: the one that was found last', () => {
    const { cache, load, has } = cacheOf();
    load('old', 0, session('id'));
    load('new', 0, session('id'));
    expect([has('old'), has('new')]).toEqual([false, true]);
    cache.evict('id');
    expect(has('new')).toBe(false);
  });
});

describe('[cache] an eviction', () => {
  it('finds the session by its id, and leaves the others', () => {
    const { cache, load, has } = cacheOf();
    load('a', 0, session('id of a'));
    load('b', 0, session('id of b'));
    cache.evict('id of a');
    expect([has('a'), has('b')]).toEqual([false, true]);
  });

  it('still finds it after the session was loaded again', () => {
    const { cache, load, has } = cacheOf();
    load('a', 0);
    load('a', 0);
    cache.evict('a');
    expect(has('a')).toBe(false);
  });

  it('keeps out what was being loaded meanwhile, and nothing else', () => {
    const { cache, load, has } = cacheOf();
    const before = cache.begin(0);
    const beside = cache.begin(0);
    cache.evict('a');
    const after = cache.begin(0);
    expect(cache.end(beside, 'b', session('b'))).toBeDefined();
    expect(cache.end(before, 'a', session('a'))).toBeUndefined();
    expect(has('a')).toBe(false);
    expect(cache.end(after, 'a', session('a'))).toBeDefined();
    expect([has('a'), has('b')]).toEqual([true, true]);
    load('a', 0);
    expect(has('a')).toBe(true);
  });

  it('keeps it out also where others came between, and again', () => {
    const { cache } = cacheOf();
    const load = cache.begin(0);
    for (const id of ['a', 'x', 'y', 'a', 'z']) {
      cache.end(cache.begin(0), id, session(id));
      cache.evict(id);
    }
    expect(cache.end(load, 'a', session('a'))).toBeUndefined();
  });

  it('of everything keeps out everything that was being loaded', () => {
    const { cache, load, has } = cacheOf();
    load('a', 0);
    const under = cache.begin(0);
    cache.clear();
    expect(has('a')).toBe(false);
    expect(cache.end(under, 'b', session('b'))).toBeUndefined();
    load('c', 0);
    expect([has('b'), has('c')]).toEqual([false, true]);
  });
});
