import { describe, expect, it } from '@jest/globals';
import { judgeAudit } from '../../scripts/chaos/checker/audit.mjs';
import { judge, type Event } from '../../scripts/chaos/checker/judge.mjs';

/** Requests one after the other, 10 ms each, unless told otherwise. */
function history(...events: Partial<Event>[]): Event[] {
  return events.map((event, index) => ({
    op: 'read',
    begin: index * 10,
    end: index * 10 + 5,
    outcome: 'ok',
    cookie: 0,
    owner: event.outcome === undefined || event.outcome === 'ok' ? 's1' : undefined,
    ...event,
  })) as Event[];
}

const create = { op: 'create' };
const append = (item: string, outcome: Event['outcome'] = 'ok') => ({ op: 'append', key: 'items', item, outcome });
const set = (item: string, outcome: Event['outcome'] = 'ok') => ({ op: 'set', key: 'first', item, outcome });
const increment = (value: number) => ({ op: 'increment', value });
const read = (data: object) => ({ data: { owner: 's1', ...data } });
const [a, b, c] = ['s1:a', 's1:b', 's1:c'] as const;

/** The harms that were found, by their names. */
function harmsOf(events: Event[], more: { idle?: number; rows?: object[] } = {}): Record<string, number> {
  const { counts } = judge({ name: 's1', events, ...more });
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

describe('the checker of npm run chaos', () => {
  it('finds nothing in a life as it should be', () => {
    const events = history(
      create,
      append(a),
      append(b, 'unknown'),
      increment(1),
      set(c),
      read({ items: [a, b], count: 1, first: c }),
      { op: 'login' },
      { outcome: 'absent', cookie: 0 },
      { cookie: 1, ...read({ items: [a, b], count: 1, first: c }) },
      { op: 'destroy', cookie: 1 },
      { outcome: 'absent', cookie: 1 },
    );
    expect(harmsOf(events, { rows: [] })).toEqual({});
  });

  describe('lost', () => {
    it('is what was acknowledged and is not in the row', () => {
      const rows = [{ owner: 's1', items: [], first: '', count: 0 }];
      expect(harmsOf(history(create, append(a), set(b), increment(1)), { rows })).toEqual({ lost: 3 });
    });

    it('is a session that is away without an end, a new token or an expiry', () => {
      expect(harmsOf(history(create, { outcome: 'absent' }))).toEqual({ lost: 1 });
      expect(harmsOf(history(create), { rows: [] })).toEqual({ lost: 1 });
      expect(
        harmsOf(history(create, { op: 'destroy', outcome: 'unknown' }, { outcome: 'absent' }), { rows: [] }),
      ).toEqual({});
    });

    it('is an older value, but not where one of unknown outcome may have come late', () => {
      expect(harmsOf(history(create, set(a), set(b), read({ first: a })))).toEqual({ lost: 1 });
      expect(harmsOf(history(create, set(a, 'unknown'), set(b), read({ first: a })))).toEqual({});
    });

    it('is a value that two have been told for two increments', () => {
      const events = history(create, increment(1), increment(1), read({ count: 2 }));
      expect(harmsOf(events)).toEqual({ lost: 1, stale: 1 });
    });

    it('is a nonce that nobody could take', () => {
      const put = { op: 'put', key: 'nonce1', item: a };
      const take = { op: 'take', key: 'nonce1' };
      expect(harmsOf(history(create, put, take, take))).toEqual({ lost: 1 });
      expect(harmsOf(history(create, put, { ...take, value: a }, take))).toEqual({});
      expect(harmsOf(history(create, put, { ...take, outcome: 'unknown' }, take))).toEqual({});
    });

    it('is a session that expired early', () => {
      const signIn = { op: 'login', idle: 100 };
      expect(harmsOf(history(create, signIn, { cookie: 1, outcome: 'absent' }), { idle: 100 })).toEqual({ lost: 1 });
    });
  });

  it('tells what was not seen for a while from what is lost', () => {
    const events = history(create, append(a), read({ items: [] }), read({ items: [a] }));
    expect(harmsOf(events)).toEqual({ stale: 1 });
  });

  it('finds what was seen, was never acknowledged, and has vanished', () => {
    const events = history(create, append(a, 'unknown'), read({ items: [a] }), read({ items: [] }));
    expect(harmsOf(events)).toEqual({ vanished: 1 });
  });

  it('finds an order that nobody can have asked for', () => {
    expect(harmsOf(history(create, append(a), append(b), read({ items: [b, a] })))).toEqual({ stale: 1 });
  });

  describe('duplicated', () => {
    it('is what is there twice, also where its outcome was unknown', () => {
      const rows = [{ owner: 's1', items: [a, a] }];
      expect(harmsOf(history(create, append(a)), { rows })).toEqual({ duplicated: 1 });
      expect(harmsOf(history(create, append(a, 'unknown')), { rows })).toEqual({ duplicated: 1 });
    });

    it('is what was refused and is there', () => {
      const rows = [{ owner: 's1', items: [a], first: b, count: 1 }];
      const refused = { op: 'increment', outcome: 'refused' as const };
      const events = history(create, append(a, 'refused'), set(b, 'refused'), refused);
      expect(harmsOf(events, { rows }).duplicated).toBeGreaterThanOrEqual(3);
      expect(harmsOf(history({ ...create, outcome: 'refused' }), { rows: [{ owner: 's1' }] })).toEqual({
        duplicated: 1,
      });
    });

    it('is a nonce that two have taken, and a session in two rows', () => {
      const take = { op: 'take', key: 'nonce1', value: a };
      const put = { op: 'put', key: 'nonce1', item: a };
      expect(harmsOf(history(create, put, take, take))).toEqual({ duplicated: 1 });
      expect(harmsOf(history(create), { rows: [{ owner: 's1' }, { owner: 's1' }] })).toEqual({ duplicated: 1 });
    });
  });

  describe('resurrected', () => {
    it('is what is served after its end, or has a row', () => {
      expect(harmsOf(history(create, { op: 'destroy' }, read({})))).toEqual({ resurrected: 1 });
      expect(harmsOf(history(create, { op: 'destroy' }), { rows: [{ owner: 's1' }] })).toEqual({ resurrected: 1 });
    });

    it('is an old cookie that works', () => {
      expect(harmsOf(history(create, { op: 'regenerate' }, read({})))).toEqual({ resurrected: 1 });
      expect(harmsOf(history(create, { op: 'regenerate' }, { cookie: 1, ...read({}) }))).toEqual({});
    });

    it('is what was away, perhaps rightly, and is back', () => {
      const events = history(create, { op: 'destroy', outcome: 'unknown' }, { outcome: 'absent' }, read({}));
      expect(harmsOf(events)).toEqual({ resurrected: 1 });
    });

    it('is not a request that was under way when the end came', () => {
      const events = history(create, { op: 'destroy', begin: 20, end: 30 }, { begin: 15, end: 35, ...read({}) });
      expect(harmsOf(events)).toEqual({});
    });
  });

  it('finds what is served after its expiry, unless a request may still be under way', () => {
    const signIn = { op: 'login' };
    const late = { cookie: 1, begin: 500, end: 505, ...read({}) };
    expect(harmsOf(history(create, signIn, late), { idle: 100 })).toEqual({ servedExpired: 1 });
    const hanging = { cookie: 1, outcome: 'unknown' as const, unanswered: true };
    expect(harmsOf(history(create, signIn, hanging, late), { idle: 100 })).toEqual({});
  });

  it("finds what is another's", () => {
    expect(harmsOf(history(create, { owner: 's2' }))).toEqual({ crossed: 1 });
    expect(harmsOf(history(create, read({ items: ['s2:a'] })))).toEqual({ crossed: 1 });
  });
});

describe('what the database noted', () => {
  const deleted = (owner: string | null) => ({ what: 'deleted', owner, detail: '' });
  const lineage = (name: string, ...events: Partial<Event>[]) => ({ name, events: history(...events) });

  it('is a harm where a session was deleted before its expiry, and nobody had asked for its end', () => {
    const lineages = [lineage('s1', create), lineage('s2', create, { op: 'destroy', outcome: 'refused' })];
    expect(judgeAudit([deleted('s1'), deleted('s2')], lineages).deletedAlive).toEqual([
      'the row of s1 was deleted before its expiry',
      'the row of s2 was deleted before its expiry',
    ]);
  });

  it('is none where the end was asked for, or the row was for trying statements', () => {
    const lineages = [
      lineage('s1', create, { op: 'destroy' }),
      lineage('s2', create, { op: 'destroy', outcome: 'unknown' }),
    ];
    const notes = [deleted('s1'), deleted('s2'), deleted(null)];
    expect(judgeAudit(notes, lineages)).toEqual({ deletedAlive: [], versionJumps: [] });
  });

  it('is a harm where a version jumped', () => {
    const notes = [{ what: 'version', owner: 's1', detail: '4 to 4' }];
    expect(judgeAudit(notes, [lineage('s1', create)]).versionJumps).toEqual(['the version of s1 went from 4 to 4']);
  });
});
