import { InternalServerErrorException } from '@nestjs/common';
import { expect, it } from '@jest/globals';
import { SessionCleanupService } from 'nestjs-typeorm-session';
import type { Platform } from './app.js';
import { useDatabase } from './database-lab.js';
import type { DatabaseKind } from './databases.js';
import { barrier, Gate, GONE, outcomeOf, REFUSED_VALUE, REPLACED, tally, times } from './lab.js';

const ALPHABET = [...'abcdefghijklmnopqrstuvwxyz'];
const HOUR = 3_600_000;

/** What paths, quoting and array literals stumble over. */
const ODD_KEYS = [
  'a.b',
  "a'b",
  'a"b',
  'a`b',
  'a[0]',
  'a\\b',
  'a\\"b',
  '*',
  '--',
  ' ',
  '0',
  '-1',
  '-',
  'é',
  'e\u0301',
  '🫖',
];

/** Values that some database, parser or collation is known to change. */
const VALUES = {
  text: 'Größe 🫖 \u2028 " \\ \' ` $',
  'like others': ['123', 'true', 'null', '{"a":1}', ''],
  numbers: [0.1 + 0.2, 5e-324, 1.5e-300, Number.MAX_SAFE_INTEGER, -1, 1e21 / 1e6],
  nested: { null: null, empty: [[], {}], 'a.b': { 'a[0]': [[null]] } },
  false: false,
  null: null,
};

/** Values outside the profile, and where the error says that they are. */
const REFUSED: [name: string, value: () => unknown, path: string][] = [
  ['a Date', () => ({ at: new Date() }), '$.key.at'],
  ['a Map', () => [new Map()], '$.key[0]'],
  ['a BigInt', () => 1n, '$.key'],
  ['NaN', () => ({ a: [NaN] }), '$.key.a[0]'],
  ['U+0000', () => 'a\0b', '$.key'],
  ['half a surrogate pair', () => ['\ud800'], '$.key[0]'],
  ['a function', () => ({ f: () => 1 }), '$.key.f'],
  ['2^53', () => 2 ** 53, '$.key'],
  ['17 levels', () => JSON.parse(`${'['.repeat(17)}${']'.repeat(17)}`) as unknown, '$.key'],
  ['more than maxBytes', () => 'x'.repeat(65_536), '$.key'],
];

/** The lines of the contract that need no outage, with each node on its own way to the database. */
export function describeContract(database: DatabaseKind, platform: Platform): void {
  const lab = useDatabase(database, platform);

  it('[line 1] is there for the next request, on any node', async () => {
    const client = lab.client();
    for (let visit = 1; visit <= 4; visit++) {
      const seen = await lab.value(lab.at(client, visit), (session) => session.get('visits', 0));
      expect(seen).toBe(visit - 1);
      await lab.value(client, (session) => session.set('visits', session.get('visits', 0) + 1));
    }
    expect(await lab.rows()).toHaveLength(1);
  });

  it('[line 2] keeps the key of each of 26 parallel requests', async () => {
    const client = await lab.visitor({ visitor: true });
    const all = barrier(ALPHABET.length);
    await times(ALPHABET.length, (index) =>
      lab.value(lab.at(client, index), async (session) => {
        session.keys();
        await all();
        session.set(ALPHABET[index]!, index);
      }),
    );
    const expected = Object.fromEntries(ALPHABET.map((letter, index) => [letter, index]));
    expect(await lab.data(client)).toEqual({ visitor: true, ...expected });
    const [row] = await lab.rows();
    expect(row).toMatchObject({ version: 27, data: { visitor: true, ...expected } });
  });

  it.each(ODD_KEYS)('[line 2] merges, counts, takes and deletes under the key %j', async (key) => {
    const near = { [`${key}x`]: 1, [`x${key}`]: 2, visitor: true };
    const client = await lab.visitor({ ...near, [key]: 'inserted' });
    expect(await lab.value(client, (session) => session.take(key))).toBe('inserted');
    expect(await lab.data(client)).toEqual(near);
    expect(await lab.value(client, (session) => session.increment(key, 0.1 + 0.2))).toBe(0.1 + 0.2);
    await lab.value(client, (session) => session.set(key, { [key]: null }));
    expect(await lab.data(client)).toEqual({ ...near, [key]: { [key]: null } });
    await lab.value(client, (session) => session.login('u', { keep: [key] }));
    expect(await lab.data(client)).toEqual({ [key]: { [key]: null } });
    await lab.value(client, (session) => session.delete(key));
    expect(await lab.data(client)).toEqual({});
  });

  it('[line 2] gives back what was set, in this request and in the next', async () => {
    const client = lab.client();
    const now = await lab.value(client, async (session) => {
      for (const [key, value] of Object.entries(VALUES)) session.set(key, value);
      await session.save();
      return Object.fromEntries(session.entries()) as unknown;
    });
    expect(now).toEqual(VALUES);
    expect(await lab.data(lab.at(client, 1))).toEqual(VALUES);
    // By JSON.stringify, for which -0 is 0.
    expect(await lab.value(client, (session) => [session.set('zero', -0), session.save()] as unknown)).toBeDefined();
    expect(await lab.value(client, (session) => Object.is(session.get('zero'), 0))).toBe(true);
  });

  it.each(REFUSED)('refuses %s with the path, and keeps what was there', async (_name, value, path) => {
    const client = await lab.visitor({ visitor: true, key: 'before' });
    const reply = await lab.act(client, (session) => {
      session.set('key', value());
      session.set('other', 1);
    });
    expect(outcomeOf(reply)).toEqual(REFUSED_VALUE);
    expect(reply.body.message).toContain(path);
    expect(await lab.data(client)).toEqual({ visitor: true, key: 'before' });
  });

  it('[line 3] loses no increment, append or update, and takes and sets once', async () => {
    const client = await lab.visitor({ nonce: 'n' });
    const calls = 20;
    await times(calls, (index) => lab.value(lab.at(client, index), (session) => session.increment('count')));
    await times(calls, (index) => lab.value(lab.at(client, index), (session) => session.append('list', index)));
    const updates = await times(calls, (index) =>
      lab.act(lab.at(client, index), (session) => session.update('sum', (sum: number = 0) => sum + 1)),
    );
    const taken = await times(calls, (index) => lab.value(lab.at(client, index), (session) => session.take('nonce')));
    const set = await times(calls, (index) =>
      lab.value(lab.at(client, index), (session) => session.setIfAbsent('first', index)),
    );
    expect(taken.filter((value) => value === 'n')).toHaveLength(1);
    expect(set.filter(Boolean)).toHaveLength(1);
    const { list, ...rest } = await lab.data(client);
    const updated = tally(updates)['200'];
    expect(rest).toEqual({ count: calls, sum: updated, first: set.indexOf(true) });
    expect((list as number[]).toSorted((a, b) => a - b)).toEqual([...Array(calls).keys()]);
  });

  it('[line 3] leaves alone what an operation does not fit', async () => {
    const client = await lab.visitor({ text: 'a', object: {}, max: Number.MAX_SAFE_INTEGER });
    for (const step of [
      (session) => session.increment('text'),
      (session) => session.increment('max'),
      (session) => session.append('object', 1),
      (session) => session.append('list', 'x'.repeat(65_000), 'y'.repeat(600)),
    ] as Parameters<typeof lab.act>[1][]) {
      expect(outcomeOf(await lab.act(client, step))).toEqual(REFUSED_VALUE);
    }
    expect(await lab.value(client, (session) => session.take('absent') as unknown)).toBeUndefined();
    expect(await lab.data(client)).toEqual({ text: 'a', object: {}, max: Number.MAX_SAFE_INTEGER });
  });

  it('[line 4] never comes back: a late save, count and touch say that it is gone', async () => {
    for (const late of [
      (session) => session.set('late', 1),
      (session) => session.increment('late'),
      (session) => session.append('late', 1),
      (session) => session.update('late', () => 1),
      (session) => session.regenerate(),
    ] as ((session: Parameters<Parameters<typeof lab.act>[1]>[0]) => unknown)[]) {
      const client = await lab.visitor();
      const gate = new Gate();
      const slow = lab.act(lab.at(client, 1), async (session) => {
        session.keys();
        await gate.pass();
        await late(session);
      });
      await gate.reached;
      await lab.value(lab.at(client, 0), (session) => session.destroy());
      gate.open();
      expect(outcomeOf(await slow)).toEqual(GONE);
      expect(await lab.rows()).toEqual([]);
    }
  });

  it('[line 5] keeps id and data through a regeneration, and its old token is dead', async () => {
    const client = await lab.visitor({ cart: [1] });
    const before = await lab.value(client, (session) => session.id);
    const old = lab.at(client, 0);
    const gate = new Gate();
    const slow = lab.act(lab.at(client, 1), async (session) => {
      session.keys();
      await gate.pass();
      session.set('late', 1);
    });
    await gate.reached;
    await lab.value(client, async (session) => {
      session.set('pending', 1);
      await session.regenerate();
    });
    gate.open();
    expect(outcomeOf(await slow)).toEqual(REPLACED);
    expect(await lab.value(client, (session) => session.id)).toBe(before);
    expect(await lab.data(client)).toEqual({ cart: [1], pending: 1 });
    expect(await lab.data(old)).toEqual({});
    expect(outcomeOf(await lab.act(old, (session) => session.set('a', 1)))).toEqual(REPLACED);
    expect(await lab.rows()).toHaveLength(1);
  });

  it('[line 5] has one successor of many regenerations at once', async () => {
    const client = await lab.visitor({ cart: [1] });
    const all = barrier(10);
    const replies = await times(10, (index) =>
      lab.act(lab.at(client, index), async (session) => {
        session.keys();
        await all();
        await session.regenerate();
      }),
    );
    expect(tally(replies)).toEqual({ '200': 1, SESSION_REPLACED: 9 });
    expect(await lab.rows()).toHaveLength(1);
  });

  it('[line 6] has an absolute end that only a sign-in moves', async () => {
    const client = await lab.visitor({ cart: [1], other: 1 });
    const end = async () => (await lab.rows())[0]!.absoluteExpiresAt.getTime();
    const first = await end();
    await lab.value(client, async (session) => {
      session.set('a', 1);
      await session.save();
      await session.increment('n');
      await session.touch();
      await session.regenerate();
    });
    expect(await end()).toBe(first);
    await lab.value(client, (session) =>
      session.login('Ünï', { keep: ['cart'], idleTimeout: '1h', absoluteTimeout: '2h', persistent: false }),
    );
    const [row] = await lab.rows();
    expect(row).toMatchObject({ userId: 'Ünï', data: { cart: [1] }, idleTimeout: HOUR, persistent: false });
    const { createdAt, touchedAt, expiresAt, absoluteExpiresAt } = row!;
    expect(createdAt.getTime()).toBeLessThanOrEqual(touchedAt.getTime());
    expect(expiresAt.getTime() - touchedAt.getTime()).toBe(HOUR);
    expect(absoluteExpiresAt.getTime() - touchedAt.getTime()).toBe(2 * HOUR);
  });

  it('[line 6] is over when its time is, before any clean-up', async () => {
    const client = await lab.visitor();
    await lab.alter({ expiresAt: new Date(Date.now() - 1) });
    expect(await lab.value(client, (session) => [session.isNew, session.keys()])).toEqual([true, []]);
    expect(await lab.rows()).toHaveLength(1);
    expect(await lab.nodes[0]!.app.get(SessionCleanupService).run()).toEqual({ deleted: 1, done: true });
    expect(await lab.rows()).toEqual([]);
  });

  it('[line 6] lives longer when it is used, up to its absolute end and with no cookie', async () => {
    const client = await lab.visitor();
    const now = Date.now();
    await lab.alter({
      touchedAt: new Date(now - 2 * HOUR),
      expiresAt: new Date(now + HOUR),
      absoluteExpiresAt: new Date(now + 5 * HOUR),
    });
    const reply = await lab.act(client, (session) => session.keys());
    expect(reply.setCookies).toEqual([]);
    const [row] = await lab.rows();
    expect(row!.expiresAt.getTime()).toBe(row!.absoluteExpiresAt.getTime());
    expect(row!.touchedAt.getTime()).toBeGreaterThan(now - HOUR);
  });

  it('[line 7] saves no data with a 500, but what was immediate stays', async () => {
    const client = await lab.visitor();
    const reply = await lab.act(client, async (session) => {
      session.set('lost', 1);
      await session.increment('kept');
      throw new InternalServerErrorException();
    });
    expect(reply.status).toBe(500);
    expect(await lab.data(client)).toEqual({ visitor: true, kept: 1 });
  });

  it('[line 10] has no token in its row', async () => {
    const client = await lab.visitor();
    const token = client.cookie.split('=')[1]!;
    const [row] = await lab.rows();
    expect(row!.tokenHash).toHaveLength(32);
    expect(JSON.stringify(row)).not.toContain(token);
  });

  it.each(database.garbage)('is anonymous and an event where its row holds %j', async (garbage) => {
    const client = await lab.visitor();
    const { id } = (await lab.rows())[0]!;
    const { tablePath } = lab.sessions.metadata;
    await lab.dataSource.query(`UPDATE ${tablePath} SET data = '${garbage.replaceAll("'", "''")}'`);
    for (let request = 1; request <= 2; request++) {
      expect(await lab.value(client, (session) => [session.isNew, session.keys()])).toEqual([true, []]);
      expect(lab.nodes[0]!.events).toHaveLength(request);
    }
    expect(lab.nodes[0]!.events[0]).toEqual({ type: 'unreadable', id });
    await lab.value(client, (session) => session.set('fresh', 1));
    expect(await lab.data(client)).toEqual({ fresh: 1 });
  });

  it('has the table that the entity describes', async () => {
    const { upQueries } = await lab.dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });
}
