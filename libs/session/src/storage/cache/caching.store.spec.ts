import { describe, expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import type { Found, SessionRef, SessionStore, StoredSession, TransactionEnd } from '../../core/store.js';
import type { Announcements } from './announcements.js';
import { CachingStore } from './caching.store.js';

const LIMITS = { maxSessions: 10, maxBytes: 100_000, maxAge: 2_000 };
const REF: SessionRef = { id: 'the id', tokenHash: Buffer.alloc(32, 7) };
const OTHER = Buffer.alloc(32, 8);

function live(data: object, rest: Partial<StoredSession> = {}): Found {
  const times = { expiresAt: 0, remaining: 60_000, absoluteRemaining: 60_000, sinceTouched: 0 };
  const session = { ...REF, userId: undefined, idleTimeout: 60_000, persistent: true, ...times, ...rest };
  return { status: 'live', session: { ...session, data: JSON.stringify(data) } };
}

/** A store whose every call is answered by the test. */
class Asked {
  readonly finds: { answer(...found: Found[]): void; fail(error: Error): void }[] = [];
  readonly writes: { answer(outcome: unknown): void; fail(error: Error): void }[] = [];
  #end!: (end: TransactionEnd) => void;

  readonly store = {
    find: () =>
      new Promise<Found[]>((resolve, reject) =>
        this.finds.push({ answer: (...found) => resolve(found), fail: reject }),
      ),
    ...Object.fromEntries(
      ['update', 'touch', 'replace', 'apply', 'delete'].map((name) => [
        name,
        () => new Promise((resolve, reject) => this.writes.push({ answer: resolve, fail: reject })),
      ]),
    ),
    join: () => ({
      store: this.store,
      ended: new Promise<TransactionEnd>((resolve) => (this.#end = resolve)),
    }),
  } as unknown as SessionStore;

  end(end: TransactionEnd): void {
    this.#end(end);
  }
}

class Told implements Announcements {
  readonly ids: string[] = [];
  isTrusted = true;

  async start(): Promise<void> {}

  isHeard(): boolean {
    return this.isTrusted;
  }

  async close(): Promise<void> {}

  announce(id: string): void {
    this.ids.push(id);
  }
}

function lab() {
  const asked = new Asked();
  const told = new Told();
  const store = new CachingStore(asked.store, LIMITS, told);
  const find = async (hash = REF.tokenHash) => {
    const [found] = await store.find([hash]);
    return found?.status === 'live' ? (JSON.parse(found.session.data) as unknown) : found?.status;
  };
  /** One find that is answered at once. */
  const load = async (found: Found) => {
    const answer = find();
    asked.finds.at(-1)!.answer(found);
    return answer;
  };
  return { asked, told, store, find, load };
}

describe('[cache] a read', () => {
  it('asks once for what it then knows', async () => {
    const { asked, find, load } = lab();
    await load(live({ n: 1 }));
    expect(await find()).toEqual({ n: 1 });
    expect(asked.finds).toHaveLength(1);
  });

  it('answers without a promise what it knows, while it hears', async () => {
    const { told, store, load } = lab();
    expect(store.peek(REF.tokenHash)).toBeUndefined();
    await load(live({ n: 1 }));
    expect(store.peek(REF.tokenHash)).toMatchObject({ id: 'the id', tokenHash: REF.tokenHash, data: '{"n":1}' });
    expect(store.peek(OTHER)).toBeUndefined();
    told.isTrusted = false;
    expect(store.peek(REF.tokenHash)).toBeUndefined();
  });

  it('waits for the same load that is under way, and for no other', async () => {
    const { asked, find } = lab();
    const answers = [find(), find(), find(OTHER)];
    await turn();
    answers.push(find());
    expect(asked.finds).toHaveLength(2);
    asked.finds[0]!.answer(live({ n: 1 }));
    asked.finds[1]!.answer();
    expect(await Promise.all(answers)).toEqual([{ n: 1 }, { n: 1 }, undefined, { n: 1 }]);
    expect(asked.finds).toHaveLength(2);
  });

  it.each([
    ['nothing', []],
    ['a replaced token', [{ status: 'replaced' } as const]],
    ['what is no session', [{ status: 'unreadable', id: 'the id' } as const]],
    ['a session that expires meanwhile', [live({ n: 1 }, { remaining: 0 })]],
  ])('does not share or keep that a load found %s', async (_name, found: Found[]) => {
    const { asked, find } = lab();
    const [first, second] = [find(), find()];
    asked.finds[0]!.answer(...found);
    await first;
    await turn();
    expect(asked.finds).toHaveLength(2);
    asked.finds[1]!.answer(live({ n: 2 }));
    expect(await second).toEqual({ n: 2 });
    const third = find();
    expect(asked.finds).toHaveLength(3);
    asked.finds[2]!.answer(live({ n: 3 }));
    expect(await third).toEqual({ n: 3 });
  });

  it('fails with the load that it waited for, and the next one asks again', async () => {
    const { asked, find, load } = lab();
    const answers = [find(), find()].map((answer) => answer.catch((error: Error) => error.message));
    asked.finds[0]!.fail(new Error('away'));
    expect(await Promise.all(answers)).toEqual(['away', 'away']);
    expect(await load(live({ n: 1 }))).toEqual({ n: 1 });
  });

  it('asks by itself while nothing is heard: it neither takes, nor waits for, nor keeps anything', async () => {
    const { asked, told, find, load } = lab();
    await load(live({ n: 1 }));
    told.isTrusted = false;
    const answers = [find(), find()];
    expect(asked.finds).toHaveLength(3);
    for (const { answer } of asked.finds.slice(1)) answer(live({ n: 2 }));
    expect(await Promise.all(answers)).toEqual([{ n: 2 }, { n: 2 }]);
    told.isTrusted = true;
    expect(await find()).toEqual({ n: 1 });
  });

  it('of two tokens asks for both', async () => {
    const { asked, store, load } = lab();
    await load(live({ n: 1 }));
    void store.find([REF.tokenHash, OTHER]);
    expect(asked.finds).toHaveLength(2);
  });
});

const NOTHING = { set: {}, unset: [] };
const WRITES: [name: string, write: (store: SessionStore) => Promise<unknown>, announced: boolean][] = [
  ['update', (store) => store.update(REF, NOTHING, 0), true],
  ['apply', (store) => store.apply(REF, { kind: 'take', key: 'n' }), true],
  ['touch', (store) => store.touch(REF, 0), false],
  ['replace', (store) => store.replace(REF, { tokenHash: OTHER, isUnsent: false }, NOTHING, 0), false],
  ['delete', (store) => store.delete(REF), false],
];

describe.each(WRITES)('[cache] a write by %s', (_name, write, isAnnounced) => {
  it('is seen by every read that comes after it, whatever became of it', async () => {
    for (const outcome of [{ status: 'applied' }, { status: 'gone' }, undefined, new Error('lost')]) {
      const { asked, store, find, load } = lab();
      await load(live({ n: 1 }));
      const written = write(store).catch(() => {});
      expect(await find()).toEqual({ n: 1 });
      const [{ answer, fail }] = asked.writes as [(typeof asked.writes)[0]];
      if (outcome instanceof Error) fail(outcome);
      else if (!outcome && isAnnounced) answer({ status: 'gone' });
      else answer(outcome);
      await written;
      void find();
      expect(asked.finds).toHaveLength(2);
    }
  });

  it('is not overtaken by a load that was sent before it was done', async () => {
    const { asked, store, find } = lab();
    const early = find();
    const written = write(store);
    asked.writes[0]!.answer({ status: 'applied' });
    await written;
    // It comes after the write, and the load that it waits for does not.
    const late = find();
    asked.finds[0]!.answer(live({ n: 1 }));
    expect(await early).toEqual({ n: 1 });
    await turn();
    asked.finds[1]!.answer(live({ n: 2 }));
    expect(await late).toEqual({ n: 2 });
    void find();
    expect(asked.finds).toHaveLength(3);
  });

  it(`is ${isAnnounced ? '' : 'not '}announced, and what found no row is not`, async () => {
    const { asked, told, store } = lab();
    const outcomes = [{ status: 'gone' }, { status: 'applied' }, new Error('lost')];
    for (const outcome of outcomes) {
      const written = write(store).catch(() => {});
      if (outcome instanceof Error) asked.writes.at(-1)!.fail(outcome);
      else asked.writes.at(-1)!.answer(outcome);
      await written;
    }
    expect(told.ids).toEqual(isAnnounced ? ['the id', 'the id'] : []);
  });
});

describe('[cache] a write in a transaction', () => {
  it.each([
    ['committed', { n: 2 }, ['the id']],
    ['unknown', { n: 2 }, ['the id']],
    ['rolledBack', { n: 2 }, []],
  ] as const)('is seen, and announced, when that is %s', async (end, seen, announced) => {
    const { asked, told, store, find, load } = lab();
    await load(live({ n: 1 }));
    const joined = store.join!({});
    const written = joined.store.update(REF, NOTHING, 0);
    asked.writes[0]!.answer({ status: 'applied' });
    await written;
    expect(await find()).toEqual({ n: 1 });
    expect(told.ids).toEqual([]);
    asked.end(end);
    expect(await joined.ended).toBe(end);
    expect(told.ids).toEqual(announced);
    expect(await load(live({ n: 2 }))).toEqual(seen);
    expect(asked.finds).toHaveLength(2);
  });
});
