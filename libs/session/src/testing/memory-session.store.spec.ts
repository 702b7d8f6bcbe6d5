import { describe, expect, it } from '@jest/globals';
import { describeSessionStore } from './describe-session-store.js';
import { MemorySessionStore } from './memory-session.store.js';

describeSessionStore('[conformance] MemorySessionStore', async () => ({ store: new MemorySessionStore() }));

describe('MemorySessionStore', () => {
  const ref = { id: 'a', tokenHash: Buffer.from('a') };
  const next = { id: 'a', tokenHash: Buffer.from('b') };
  const lifetime = { idleTimeout: 1_000, absoluteTimeout: 2_500, persistent: true };
  const nothing = { set: {}, unset: [] };

  async function stored() {
    const clock = { now: 5_000 };
    const store = new MemorySessionStore({ now: () => clock.now });
    await store.create({ ...ref, ...lifetime, userId: undefined, data: { n: '1' } });
    const statuses = async (...tokenHashes: Buffer[]) => (await store.find(tokenHashes)).map(({ status }) => status);
    return { clock, store, statuses };
  }

  it('tells the time by the clock that it was given', async () => {
    const { clock, store } = await stored();
    clock.now += 999;
    const [found] = await store.find([ref.tokenHash]);
    expect(found).toEqual({
      status: 'live',
      session: {
        ...ref,
        userId: undefined,
        data: '{"n":1}',
        idleTimeout: 1_000,
        persistent: true,
        expiresAt: 6_000,
        remaining: 1,
        absoluteRemaining: 1_501,
        sinceTouched: 999,
      },
    });
    clock.now += 1;
    expect(await store.find([ref.tokenHash])).toEqual([]);
    expect(await store.touch(ref, 0)).toBeUndefined();
    expect(await store.deleteExpired(10)).toBe(1);
  });

  it('touches where the time has come, and up to the absolute expiry', async () => {
    const { clock, store } = await stored();
    clock.now += 499;
    expect(await store.touch(ref, 500)).toBeUndefined();
    clock.now += 1;
    expect(await store.touch(ref, 500)).toEqual({ status: 'applied', expiresAt: 6_500 });
    expect(await store.update(ref, nothing, 500)).toEqual({ status: 'applied', expiresAt: 6_500 });
    clock.now += 900;
    expect(await store.update(ref, nothing, 500)).toEqual({ status: 'applied', expiresAt: 7_400 });
    clock.now += 900;
    expect(await store.replace(ref, { ...next, isUnsent: false }, nothing, 500)).toEqual({
      status: 'applied',
      expiresAt: 7_500,
    });
    clock.now = 7_500;
    expect(await store.update(next, nothing, 0)).toEqual({ status: 'gone' });
  });

  it('recognises a replaced token for 30 seconds, and refuses it for good', async () => {
    const { clock, store, statuses } = await stored();
    const login = { userId: 'ann', keep: ['n'], idleTimeout: 60_000, absoluteTimeout: 60_000, persistent: true };
    await store.replace(ref, { ...next, isUnsent: false, login }, nothing, 0);
    clock.now += 29_999;
    expect(await statuses(ref.tokenHash, next.tokenHash)).toEqual(['live', 'replaced']);
    clock.now += 1;
    expect(await statuses(ref.tokenHash, next.tokenHash)).toEqual(['live']);
    expect(await store.update(ref, nothing, 0)).toEqual({ status: 'replaced' });
  });

  it('counts data writes', async () => {
    const { store } = await stored();
    const version = async () => (await store.read(ref, 'n')) as object;
    expect(await version()).toMatchObject({ version: 1 });
    await store.update(ref, nothing, 0);
    await store.apply(ref, { kind: 'increment', key: 'n', by: 1 });
    expect(await version()).toMatchObject({ version: 3 });
    await store.touch(ref, 0);
    await store.apply(ref, { kind: 'take', key: 'absent' });
    expect(await version()).toMatchObject({ version: 3 });
  });
});
