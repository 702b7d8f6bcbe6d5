import { InternalServerErrorException, NotFoundException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import type { Session } from 'nestjs-typeorm-session';
import { PLATFORMS } from '../support/app.js';
import { barrier, Gate, outcomeOf, REFUSED_VALUE, tally, times, useLab } from '../support/lab.js';

const byNumber = (a: number, b: number) => a - b;

describe.each(PLATFORMS)('atomic operations on %s', (platform) => {
  const lab = useLab(platform);

  describe('from two nodes at the same time', () => {
    it('[line 3] 200 increments are exact, and each answers a value of its own', async () => {
      const client = await lab.visitor({ other: 'kept' });
      const replies = await times(200, (index) =>
        lab.act(lab.at(client, index), (session) => session.increment('visits')),
      );
      expect(tally(replies)).toEqual({ 200: 200 });
      const values = replies.map(({ body }) => body.value).sort(byNumber);
      expect(values).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
      expect(await lab.row()).toMatchObject({ data: { visits: 200, other: 'kept' }, version: 201 });
    });

    it('[line 3] 100 appends arrive exactly once each', async () => {
      const client = await lab.visitor();
      const lengths = await times(100, (index) =>
        lab.value(lab.at(client, index), (session) => session.append('log', { entry: index }, index)),
      );
      expect([...lengths].sort(byNumber)).toEqual(Array.from({ length: 100 }, (_, index) => 2 * index + 2));
      const log = (await lab.row()).data.log as unknown[];
      // What one call appended stands together, in the order in which it was given.
      const entries = log.filter((_, index) => index % 2 === 0) as { entry: number }[];
      expect(log.filter((_, index) => index % 2 === 1)).toEqual(entries.map(({ entry }) => entry));
      expect(entries.map(({ entry }) => entry).sort(byNumber)).toEqual(
        Array.from({ length: 100 }, (_, index) => index),
      );
    });

    it('[line 3] one of 40 setIfAbsent wins', async () => {
      const client = await lab.visitor();
      const meet = barrier(40);
      const won = await times(40, (index) =>
        lab.value(lab.at(client, index), async (session) => {
          await meet();
          const isFirst = await session.setIfAbsent('owner', index);
          return { isFirst, index, owner: session.get('owner') as number };
        }),
      );
      const winners = won.filter(({ isFirst }) => isFirst);
      expect(winners).toHaveLength(1);
      expect((await lab.row()).data.owner).toBe(winners[0]!.index);
      // Who lost sees who won.
      expect(new Set(won.map(({ owner }) => owner))).toEqual(new Set([winners[0]!.index]));
    });

    it('[line 3] one of 40 take gets the value', async () => {
      const client = await lab.visitor({ nonce: { secret: 1 }, other: 1 });
      const meet = barrier(40);
      const taken = await times(40, (index) =>
        lab.value(lab.at(client, index), async (session) => {
          await meet();
          return (await session.take('nonce')) ?? null;
        }),
      );
      expect(taken.filter((value) => value !== null)).toEqual([{ secret: 1 }]);
      expect(await lab.row()).toMatchObject({ data: { other: 1 }, version: 2 });
    });

    it('[line 3] update loses nothing that it acknowledged, and answers 409 for the rest', async () => {
      const client = await lab.visitor({ list: [] });
      const replies = await times(40, (index) =>
        lab.act(lab.at(client, index), (session) =>
          session.update('list', (list: number[] = []) => [...list, index].sort(byNumber)),
        ),
      );
      const { 200: acknowledged = 0, SESSION_CONFLICT: refused = 0 } = tally(replies);
      expect(acknowledged + refused).toBe(40);
      const accepted = replies.flatMap((reply, index) => (reply.status === 200 ? [index] : []));
      expect((await lab.row()).data.list).toEqual(accepted);
    });

    it('[line 3] update runs its function again on the value that another request committed', async () => {
      const client = await lab.visitor({ stock: 10 });
      const gates = [new Gate(), new Gate()] as const;
      const seen: number[][] = [[], []];
      const replies = gates.map((gate, index) =>
        lab.act(lab.at(client, index), (session) =>
          session.update('stock', async (stock: number) => {
            seen[index]!.push(stock);
            if (seen[index]!.length === 1) await gate.pass();
            return stock - 1;
          }),
        ),
      );
      await Promise.all(gates.map((gate) => gate.reached));
      gates[0].open();
      expect((await replies[0]!).body.value).toBe(9);
      gates[1].open();
      expect((await replies[1]!).body.value).toBe(8);
      expect(seen).toEqual([[10], [10, 9]]);
      expect((await lab.row()).data).toEqual({ stock: 8 });
    });

    it('[line 3] update minds a change of any key, so a value that depends on another key stays true', async () => {
      const client = await lab.visitor({ total: 0, part: 1 });
      const runs: number[] = [];
      await lab.value(client, (session) =>
        session.update('total', async () => {
          const [row] = await lab.rows();
          runs.push(row!.version);
          if (runs.length === 1) await lab.value(lab.at(client, 1), (other) => other.increment('part'));
          return runs.length;
        }),
      );
      expect(runs).toEqual([1, 2]);
      expect((await lab.row()).data).toEqual({ total: 2, part: 2 });
    });

    it('[line 3] update gives up with 409 where others keep winning, and changes nothing', async () => {
      const client = await lab.visitor({ n: 0 });
      let runs = 0;
      const reply = await lab.act(client, (session) =>
        session.update('n', async () => {
          runs++;
          await lab.alter('version = version + 1');
          return 'never';
        }),
      );
      expect(outcomeOf(reply)).toEqual([409, 'SESSION_CONFLICT']);
      expect(runs).toBeGreaterThan(5);
      expect(await lab.row()).toMatchObject({ data: { n: 0 }, version: runs + 1 });
    });
  });

  describe('one by one', () => {
    it('[line 3] tell the request their result, in one UPDATE each', async () => {
      const client = await lab.visitor({ n: 1, list: ['a'], nonce: null });
      const verbs = await lab.verbsOf(client, async (session) => {
        expect(session.get('list')).toEqual(['a']);
        expect([await session.increment('n', 2.5), session.get('n')]).toEqual([3.5, 3.5]);
        expect([await session.append('list', 'b', 'c'), session.get('list')]).toEqual([3, ['a', 'b', 'c']]);
        expect([await session.setIfAbsent('new', [1]), session.get('new')]).toEqual([true, [1]]);
        expect([await session.take('nonce'), session.has('nonce')]).toEqual([null, false]);
      });
      expect(verbs).toEqual(['SELECT', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE']);
      expect((await lab.row()).data).toEqual({ n: 3.5, list: ['a', 'b', 'c'], new: [1] });
    });

    it('[line 3] refuse softly: absent to take, present to set, nothing to update', async () => {
      const client = await lab.visitor({ n: 1, nothing: null });
      const answers = await lab.value(client, async (session) => [
        (await session.take('absent')) ?? 'undefined',
        await session.setIfAbsent('n', 2),
        await session.setIfAbsent('nothing', 2),
        (await session.update('absent', () => undefined)) ?? 'undefined',
        (await session.update('n', () => undefined)) ?? 'undefined',
        session.has('n'),
      ]);
      expect(answers).toEqual(['undefined', false, false, 'undefined', 'undefined', false]);
      expect(await lab.row()).toMatchObject({ data: { nothing: null }, version: 2 });
    });

    it('[line 3] add numbers as JavaScript does', async () => {
      const client = await lab.visitor({ cents: 0.1 });
      expect(await lab.value(client, (session) => session.increment('cents', 0.2))).toBe(0.1 + 0.2);
      expect(await lab.value(client, (session) => session.increment('cents', -1e-7))).toBe(0.1 + 0.2 - 1e-7);
      expect(await lab.value(client, (session) => session.increment('big', Number.MAX_SAFE_INTEGER))).toBe(
        Number.MAX_SAFE_INTEGER,
      );
      expect(await lab.value(client, (session) => session.increment('big', -Number.MAX_SAFE_INTEGER))).toBe(0);
    });

    it('[line 3] answer SESSION_VALUE for a value of the wrong type, and change nothing', async () => {
      const data = { text: '12', flag: true, nothing: null, object: { a: 1 }, list: [1], n: 1, big: 2 ** 53 - 1 };
      const client = await lab.visitor(data);
      const before = await lab.row();
      // Makes the planner ask for the type last, where the order is its choice.
      await lab.database.query('ALTER FUNCTION jsonb_typeof(jsonb) COST 1000000');
      const steps: ((session: Session) => Promise<unknown>)[] = [
        ...['text', 'flag', 'nothing', 'object', 'list'].map((key) => (session: Session) => session.increment(key)),
        ...['text', 'flag', 'nothing', 'object', 'n'].map((key) => (session: Session) => session.append(key, 1)),
        (session) => session.increment('n', Number.NaN),
        (session) => session.increment('n', Number.POSITIVE_INFINITY),
        (session) => session.increment('n', 1e308),
        (session) => session.increment('big', 1),
        (session) => session.increment('big', 0.5),
        (session) => session.append('list', undefined),
        (session) => session.append('list', 1, new Date()),
        (session) => session.setIfAbsent('new', () => 1),
        (session) => session.setIfAbsent('new', undefined),
        (session) => session.update('n', () => 1n),
        (session) => session.update('n', () => new Map()),
      ];
      for (const step of steps) {
        const reply = await lab.act(client, step);
        expect([String(step), ...outcomeOf(reply)]).toEqual([String(step), ...REFUSED_VALUE]);
        expect(await lab.row()).toEqual(before);
      }
      for (const step of steps.slice(0, -6)) {
        const first = await lab.act(lab.client(), async (session) => {
          for (const [key, value] of Object.entries(data)) session.set(key, value);
          await step(session);
        });
        expect([outcomeOf(first), first.setCookies]).toEqual([REFUSED_VALUE, []]);
      }
      expect(await lab.rows()).toHaveLength(1);
    });

    it('[line 3] take keys literally, whatever characters they have', async () => {
      const client = await lab.visitor();
      const keys = ['a.b', "a'b", 'a"b', 'a[0]', 'a\\b', 'a$b', '*', '%s', '0', 'NULL', '{}', 'toString', '🫖', ' '];
      for (const key of keys) {
        const answers = await lab.value(client, async (session) => [
          await session.increment(key),
          await session.increment(key, 2),
          await session.take(key),
          await session.setIfAbsent(key, []),
          await session.append(key, key),
          await session.update(key, (list: string[] = []) => [...list, 'x']),
        ]);
        expect(answers).toEqual([1, 3, 3, true, 1, [key, 'x']]);
      }
      expect((await lab.row()).data).toEqual({
        visitor: true,
        ...Object.fromEntries(keys.map((key) => [key, [key, 'x']])),
      });
    });

    it('[line 3] hand an error of the function on, and change nothing', async () => {
      const client = await lab.visitor({ n: 1 });
      const refuse = (session: Session) =>
        session.update('n', () => {
          throw new NotFoundException();
        });
      expect((await lab.act(client, refuse)).status).toBe(404);
      // It is the application's own, so who catches it may go on.
      expect(await lab.value(client, (session) => refuse(session).catch(() => 'caught') as Promise<string>)).toBe(
        'caught',
      );
      expect(await lab.row()).toMatchObject({ data: { n: 1 }, version: 1 });
    });

    it('[line 3] setIfAbsent takes a key that was taken away while it looked', async () => {
      const client = await lab.visitor({ nonce: 'theirs' });
      let looks = 0;
      lab.proxy.beforeStatement = async (sql) => {
        // The look that follows an UPDATE without a row.
        if (sql.includes('IS NOT DISTINCT FROM') && ++looks === 1) await lab.alter(`data = data - 'nonce'`);
      };
      expect(await lab.value(client, (session) => session.setIfAbsent('nonce', 'mine'))).toBe(true);
      expect([looks, (await lab.row()).data]).toEqual([1, { nonce: 'mine' }]);
    });
  });

  describe('beside unsaved changes', () => {
    it('[answer: atomic on unsaved] save those of the key first, and leave the others to the edge', async () => {
      const client = await lab.visitor({ list: [{ a: 1 }] });
      const verbs = await lab.verbsOf(client, async (session) => {
        session.set('n', 5);
        session.set('other', 1);
        (session.get('list') as object[]).push({ b: 2 });
        expect(await session.increment('n')).toBe(6);
        expect(await session.append('list', { c: 3 })).toBe(3);
        expect((await lab.row()).data).toEqual({ n: 6, list: [{ a: 1 }, { b: 2 }, { c: 3 }] });
      });
      expect(verbs).toEqual(['SELECT', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE']);
      expect((await lab.row()).data).toMatchObject({ n: 6, other: 1 });
    });

    it('[answer: atomic on unsaved] see a deletion, and a value that was set a moment ago', async () => {
      const client = await lab.visitor({ n: 5, gone: 1 });
      const answers = await lab.value(client, async (session) => {
        session.delete('n');
        session.set('token', 't');
        session.delete('gone');
        return [
          await session.increment('n'),
          await session.take('token'),
          await session.setIfAbsent('gone', 2),
          await session.update('n', (n: number) => n + 10),
          session.get('n') as unknown,
        ];
      });
      expect(answers).toEqual([1, 't', true, 11, 11]);
      expect((await lab.row()).data).toEqual({ n: 11, gone: 2 });
    });

    it('[answer: atomic on unsaved] what fails leaves the unsaved change to the edge', async () => {
      const step = async (session: Session) => {
        session.set('text', 'no number');
        session.set('n', 1);
        await session.increment('text').catch(() => undefined);
        await session.update('n', () => Promise.reject(new Error('mine'))).catch(() => undefined);
        throw new NotFoundException();
      };
      const client = await lab.visitor({});
      expect(await lab.rows()).toEqual([]);
      expect((await lab.act(client, step)).status).toBe(404);
      expect((await lab.row()).data).toEqual({ text: 'no number', n: 1 });
      expect((await lab.act(client, step)).status).toBe(404);
      expect((await lab.row()).data).toEqual({ text: 'no number', n: 1 });
    });

    it('[answer: atomic on unsaved] work on a session without a row, in its INSERT', async () => {
      const cases: [step: (session: Session) => Promise<unknown>, answer: unknown, data: object][] = [
        [(session) => session.increment('n', 2), 7, { n: 7 }],
        [(session) => session.append('list', 'b'), 2, { list: ['a', 'b'] }],
        [(session) => session.setIfAbsent('new', 1), true, { new: 1 }],
        [(session) => session.setIfAbsent('n', 1), false, {}],
        [(session) => session.take('n'), 5, {}],
        [(session) => session.update('n', (n: number) => n * 2), 10, { n: 10 }],
        [(session) => session.update('n', () => undefined), undefined, {}],
      ];
      for (const [step, answer, data] of cases) {
        const client = lab.client();
        lab.proxy.reset();
        const value = await lab.value(client, async (session) => {
          session.set('n', 5);
          session.set('list', ['a']);
          return step(session);
        });
        expect(value).toEqual(answer);
        expect(lab.verbs[0]).toBe('INSERT');
        const expected: Record<string, unknown> = { n: 5, list: ['a'], ...data };
        if (/take|undefined\)/.test(String(step))) delete expected.n;
        expect(await lab.data(client)).toEqual(expected);
      }
    });
  });

  describe('on a session without a row', () => {
    const operations: [name: string, step: (session: Session) => Promise<unknown>, data: object][] = [
      ['increment', (session) => session.increment('key'), { key: 1 }],
      ['append', (session) => session.append('key', 1, 2), { key: [1, 2] }],
      ['setIfAbsent', (session) => session.setIfAbsent('key', 'v'), { key: 'v' }],
      ['update', (session) => session.update('key', (value = 'new') => value as string), { key: 'new' }],
      ['login', (session) => session.login('ann'), {}],
      ['regenerate', (session) => session.regenerate(), {}],
    ];

    it.each(operations)(
      '[answer: no row yet] %s inserts at once, and its cookie goes out with a 500 too',
      async (...of) => {
        const [, step, data] = of;
        const client = lab.client();
        lab.proxy.reset();
        const reply = await lab.act(client, async (session) => {
          const { id } = session;
          await step(session);
          expect(session.id).toBe(id);
          expect(await lab.row()).toMatchObject({ id, data, version: 1 });
          throw new InternalServerErrorException();
        });
        expect([reply.status, reply.setCookies.length, lab.verbs]).toEqual([500, 1, ['INSERT']]);
        expect(await lab.data(client)).toEqual(data);
      },
    );

    it('[answer: no row yet] what changes nothing inserts nothing', async () => {
      const reply = await lab.act(lab.client(), async (session) => [
        (await session.take('absent')) ?? null,
        (await session.update('absent', () => undefined)) ?? null,
        await session.touch(),
        await session.save(),
        session.flash('notice'),
        session.delete('absent'),
        session.pull('absent') ?? null,
        session.expiresAt ?? null,
      ]);
      expect([reply.status, reply.setCookies, lab.verbs]).toEqual([200, [], []]);
    });

    it('[answer: no row yet] the id is assigned at once and becomes real with the row', async () => {
      const client = lab.client();
      const ids = await lab.value(client, (session) => {
        const before = session.id;
        session.set('a', 1);
        return [before, session.id];
      });
      expect(new Set([...ids, (await lab.row()).id, await lab.value(client, (session) => session.id)]).size).toBe(1);
    });
  });
});

describe.each(PLATFORMS)('a database whose transactions are repeatable read, on %s', (platform) => {
  const settings = ["default_transaction_isolation = 'repeatable read'"];
  const lab = useLab(platform, { settings });

  it('[line 2] [line 3] loses no key, no increment, no append, and takes once', async () => {
    const client = await lab.visitor({ nonce: 'n' });
    const isolation = await lab.nodes[0].app
      .get((await import('typeorm')).DataSource)
      .query('SHOW transaction_isolation');
    expect(isolation).toEqual([{ transaction_isolation: 'repeatable read' }]);
    const meet = barrier(26);
    const sets = await times(26, (index) =>
      lab.act(lab.at(client, index), async (session) => {
        await meet();
        session.set(`key${index}`, index);
      }),
    );
    expect(tally(sets)).toEqual({ 200: 26 });
    const increments = await times(100, (index) => lab.act(lab.at(client, index), (session) => session.increment('n')));
    expect(tally(increments)).toEqual({ 200: 100 });
    const appends = await times(20, (index) =>
      lab.act(lab.at(client, index), (session) => session.append('list', index)),
    );
    expect(tally(appends)).toEqual({ 200: 20 });
    const takes = await times(20, (index) => lab.value(lab.at(client, index), (session) => session.take('nonce')));
    expect(takes.filter((value) => value === 'n')).toHaveLength(1);
    const { n, list, ...keys } = (await lab.row()).data;
    expect([n, (list as number[]).sort(byNumber)]).toEqual([100, Array.from({ length: 20 }, (_, index) => index)]);
    expect(keys).toEqual(Object.fromEntries(Array.from({ length: 26 }, (_, index) => [`key${index}`, index])));
  });

  it('[line 4] [line 5] has one successor of ten regenerations, and none after a sign-out', async () => {
    const client = await lab.visitor();
    const replies = await times(10, (index) => lab.act(lab.at(client, index), (session) => session.regenerate()));
    expect(tally(replies)).toEqual({ 200: 1, SESSION_REPLACED: 9 });
    const successor = await lab.visitor();
    // Who loads after the end would start a session of its own.
    const meet = barrier(10);
    const racing = await times(10, (index) =>
      lab.act(lab.at(successor, index), async (session) => {
        await meet();
        await (index === 3 ? session.destroy() : session.increment('n'));
      }),
    );
    const { 200: accepted = 0, SESSION_GONE: gone = 0, ...others } = tally(racing);
    expect([accepted + gone, others]).toEqual([10, {}]);
    expect(await lab.rows()).toHaveLength(1);
  });
});
