import { NotFoundException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import type { Session } from 'nestjs-typeorm-session';
import { PLATFORMS } from '../support/app.js';
import type { Client, Reply } from '../support/client.js';
import { barrier, Gate, GONE, outcomeOf, REPLACED, tally, times, useLab } from '../support/lab.js';

/** Everything that writes to a row. */
const WRITES: [name: string, write: (session: Session) => unknown][] = [
  ['set', (session) => session.set('late', 1)],
  ['delete', (session) => session.delete('a')],
  ['a change inside', (session) => (session.get('list') as number[]).push(1)],
  ['flash', (session) => session.flash('late', 1)],
  ['save', (session) => (session.set('late', 1), session.save())],
  ['increment', (session) => session.increment('late')],
  ['append', (session) => session.append('late', 1)],
  ['setIfAbsent', (session) => session.setIfAbsent('late', 1)],
  ['take', (session) => session.take('a')],
  ['update', (session) => session.update('late', () => 1)],
  ['regenerate', (session) => session.regenerate()],
  ['login', (session) => session.login('mallory')],
];

describe.each(PLATFORMS)('the end of a token on %s', (platform) => {
  const lab = useLab(platform);

  /** A request that has loaded its session and writes only after `meanwhile`. */
  async function late(client: Client, write: (session: Session) => unknown, meanwhile: () => Promise<unknown>) {
    const gate = new Gate();
    const pending = lab.act(client, async (session) => {
      session.keys();
      await gate.pass();
      await write(session);
      return 'done';
    });
    await gate.reached;
    await meanwhile();
    const before = await lab.rows();
    gate.open();
    const reply = await pending;
    // Nothing that comes too late changes a row, or makes one.
    expect(await lab.rows()).toEqual(before);
    return reply;
  }

  /** A visitor who comes with this cookie. */
  function holder(cookie: string, node: 0 | 1 = 0): Client {
    const client = lab.client(node);
    client.cookie = cookie;
    return client;
  }

  const isAnonymous = async (cookie: string) => {
    for (const node of [0, 1] as const) {
      const reply = await lab.act(holder(cookie, node), (session) => [session.isNew, session.keys()]);
      expect([reply.status, reply.body.value, reply.setCookies]).toEqual([200, [true, []], []]);
    }
  };

  const visitor = () => lab.visitor({ a: 1, list: [] });

  describe('before a write', () => {
    const endings: [name: string, end: (client: Client) => Promise<unknown>, outcome: unknown[]][] = [
      ['destroyed', (client) => lab.value(client, (session) => session.destroy()), GONE],
      ['revoked by DELETE', () => lab.database.query('DELETE FROM sessions'), GONE],
      ['expired', () => lab.alter('expires_at = clock_timestamp()'), GONE],
      ['revoked by UPDATE', () => lab.alter('token_hash = sha256(token_hash)'), REPLACED],
      ['regenerated', (client) => lab.value(client, (session) => session.regenerate()), REPLACED],
      ['signed in', (client) => lab.value(client, (session) => session.login('ann', { keep: ['a'] })), REPLACED],
    ];

    describe.each(endings)('that finds its session %s', (_ending, end, outcome) => {
      it.each(WRITES)('[line 4] [answer: a write belongs to its token] %s is refused', async (_name, write) => {
        const client = await visitor();
        const other = lab.at(client, 1);
        const reply = await late(client, write, () => end(other));
        expect([...outcomeOf(reply), ...reply.setCookies]).toEqual(outcome);
      });

      it('[line 4] [answer: late answers] destroy ends nothing that is not its own', async () => {
        const client = await visitor();
        const gate = new Gate();
        const pending = lab.act(lab.at(client, 1), async (session) => {
          await gate.pass();
          await session.destroy();
        });
        await gate.reached;
        await end(client);
        const [row] = await lab.rows();
        gate.open();
        const reply = await pending;
        if (outcome === GONE) {
          expect([reply.status, reply.setCookies.length, await lab.rows()]).toEqual([200, 1, []]);
          return;
        }
        expect([...outcomeOf(reply), ...reply.setCookies]).toEqual(REPLACED);
        expect(await lab.row()).toEqual(row);
      });

      it('[answer: gone] a response with nothing to save goes out as it is', async () => {
        const client = await visitor();
        const other = lab.at(client, 1);
        // Due, so that a touch is tried at the edge.
        await lab.alter(`touched_at = touched_at - interval '2 hours'`);
        const reply = await late(
          client,
          async (session) => {
            session.entries();
            await session.touch();
          },
          () => end(other),
        );
        expect([...outcomeOf(reply), ...reply.setCookies]).toEqual([200, undefined]);
        expect(reply.body.value).toBe('done');
      });
    });

    it('[answer: gone] a plain write that comes too late replaces the response, and a 404 too', async () => {
      for (const answer of [() => 'fine', () => Promise.reject(new NotFoundException())]) {
        const reply = await late(
          await visitor(),
          async (session) => {
            session.set('late', 1);
            await answer();
          },
          () => lab.database.query('DELETE FROM sessions'),
        );
        expect([outcomeOf(reply), reply.headers.get('cache-control')]).toEqual([GONE, 'no-store']);
        expect(Object.keys(reply.body).sort()).toEqual(['code', 'message', 'statusCode']);
      }
    });
  });

  describe('fifty times over', () => {
    it('[line 4] a slow save never brings a destroyed session back', async () => {
      for (let round = 0; round < 50; round++) {
        const client = await visitor();
        const old = client.cookie;
        const other = lab.at(client, round);
        const reply = await late(
          client,
          (session) => session.set('late', round),
          () => lab.value(other, (session) => session.destroy()),
        );
        expect(outcomeOf(reply)).toEqual(GONE);
        expect(client.cookie).toBe(old);
      }
      expect(await lab.rows()).toEqual([]);
    });

    it('[line 4] [answer: a write belongs to its token] a slow save never reaches a regenerated session', async () => {
      const client = await visitor();
      for (let round = 0; round < 50; round++) {
        const slow = lab.at(client, round);
        const renew = (session: Session) => (round % 2 ? session.regenerate() : session.login('ann', { keep: ['a'] }));
        const reply = await late(
          slow,
          (session) => session.set('late', round),
          () => lab.value(client, renew),
        );
        expect([outcomeOf(reply), reply.setCookies]).toEqual([REPLACED, []]);
      }
      expect((await lab.row()).data).toEqual({ a: 1 });
      expect(await lab.value(client, (session) => session.userId)).toBe('ann');
    });

    it('[line 4] whatever order a sign-out and three writes come in, nothing is left', async () => {
      const outcomes: Record<string, number> = {};
      for (let round = 0; round < 50; round++) {
        const client = await visitor();
        const { cookie } = client;
        const meet = barrier(4);
        const writes: ((session: Session) => unknown)[] = [
          (session) => session.set('n', 1),
          (session: Session) => session.increment('n'),
          (session: Session) => session.destroy(),
          (session: Session) => session.append('list', 1),
        ];
        const replies = await times(4, (index) =>
          lab.act(lab.at(client, index), async (session) => {
            await meet();
            await writes[index]!(session);
          }),
        );
        expect(replies[2]!.status).toBe(200);
        for (const [outcome, count] of Object.entries(tally(replies))) {
          outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
        }
        expect(await lab.rows()).toEqual([]);
        expect(await lab.value(holder(cookie), (session) => session.isNew)).toBe(true);
      }
      expect(Object.keys(outcomes).filter((outcome) => !['200', 'SESSION_GONE'].includes(outcome))).toEqual([]);
    });
  });

  describe('afterwards', () => {
    const endings: [name: string, end: (client: Client) => Promise<unknown>][] = [
      ['destroyed', (client) => lab.value(client, (session) => session.destroy())],
      ['revoked by DELETE', () => lab.database.query('DELETE FROM sessions')],
      ['revoked by UPDATE', () => lab.alter('token_hash = sha256(token_hash)')],
      ['expired', () => lab.alter(`expires_at = clock_timestamp() - interval '1 second'`)],
      [
        'replaced long ago',
        async (client) => {
          await lab.value(client, (session) => session.regenerate());
          await lab.alter('previous_token_until = clock_timestamp()');
        },
      ],
      ['never issued', async () => {}],
    ];

    it.each(endings)('[line 4] a token %s is unknown on both nodes, and never adopted', async (name, end) => {
      const client = await visitor();
      const cookie = name === 'never issued' ? `sid=${'A'.repeat(43)}` : client.cookie;
      await end(client);
      await isAnonymous(cookie);
      const before = await lab.rows();
      const stranger = holder(cookie, 1);
      const first = await lab.act(stranger, (session) => session.set('mine', 1));
      expect([first.status, first.setCookies.length]).toEqual([200, 1]);
      expect(stranger.cookie).not.toBe(cookie);
      const rows = await lab.rows();
      expect(rows.slice(0, -1)).toEqual(before);
      expect(rows.at(-1)!.data).toEqual({ mine: 1 });
      await isAnonymous(cookie);
    });

    it('[line 4] the answers to an unknown, an expired and a destroyed token are the same', async () => {
      const expired = (await visitor()).cookie;
      await lab.alter('expires_at = clock_timestamp()');
      const gone = await visitor();
      const destroyed = gone.cookie;
      await lab.value(gone, (session) => session.destroy());
      const show = async (cookie: string) => {
        const { status, text, headers } = await lab.act(holder(cookie), (session) => session.keys());
        return [status, text, [...headers].filter(([header]) => header !== 'date')];
      };
      const unknown = await show(`sid=${'B'.repeat(43)}`);
      expect(await show(expired)).toEqual(unknown);
      expect(await show(destroyed)).toEqual(unknown);
    });

    it('[line 4] a session comes into being by INSERT alone, and changes by UPDATE alone', async () => {
      lab.proxy.reset();
      const client = await visitor();
      expect(lab.verbs).toEqual(['INSERT']);
      for (const [, write] of WRITES) await lab.act(client, write);
      await lab.act(client, (session) => session.touch());
      await lab.act(client, (session) => session.destroy());
      const [insert, ...others] = lab.proxy.sessionStatements;
      expect(insert).not.toMatch(/ON CONFLICT/i);
      expect(new Set(lab.verbs.slice(1))).toEqual(new Set(['SELECT', 'UPDATE', 'DELETE']));
      expect(others.filter((sql) => /INSERT|MERGE/i.test(sql))).toEqual([]);
    });
  });

  describe('late answers', () => {
    const answersTo = async (cookie: string, write: (session: Session) => unknown) => {
      const reply = await lab.act(holder(cookie), write);
      return [...outcomeOf(reply), ...reply.setCookies];
    };

    it('[answer: late answers] a token replaced within 30 s reads as anonymous and writes nothing', async () => {
      const client = await visitor();
      const old = client.cookie;
      await lab.value(client, (session) => session.login('ann'));
      await isAnonymous(old);
      const before = await lab.row();
      for (const [name, write] of WRITES) {
        // What changes nothing has nothing to refuse.
        const harmless = ['delete', 'a change inside', 'take'].includes(name);
        const answer = await answersTo(old, name === 'a change inside' ? (session) => session.get('list') : write);
        expect([name, ...answer]).toEqual([name, ...(harmless ? [200, undefined] : REPLACED)]);
      }
      expect(await answersTo(old, (session) => session.destroy())).toEqual(REPLACED);
      expect(await lab.row()).toEqual(before);
      const [{ seconds }] = (await lab.database.query<{ seconds: number }>(
        'SELECT extract(epoch FROM previous_token_until - touched_at)::float8 AS seconds FROM sessions',
      )) as [{ seconds: number }];
      expect(Math.abs(seconds - 30)).toBeLessThan(1);
    });

    it('[answer: late answers] after that it is plainly unknown', async () => {
      const client = await visitor();
      const old = client.cookie;
      await lab.value(client, (session) => session.regenerate());
      await lab.alter('previous_token_until = clock_timestamp()');
      await isAnonymous(old);
      const reply = await lab.act(holder(old), (session) => session.set('mine', 1));
      expect([reply.status, reply.setCookies.length, (await lab.rows()).length]).toEqual([200, 1, 2]);
    });

    it('[answer: late answers] it is known by the row even after two changes of the token in one request', async () => {
      const client = await visitor();
      const old = client.cookie;
      await lab.value(client, async (session) => {
        await session.regenerate();
        await session.login('ann', { keep: ['a'] });
        await session.regenerate();
      });
      expect(await answersTo(old, (session) => session.set('late', 1))).toEqual(REPLACED);
      expect(await lab.value(client, (session) => [session.userId, session.keys()])).toEqual(['ann', ['a']]);
      expect(await lab.rows()).toHaveLength(1);
    });

    it('[answer: late answers] only destroy in this request clears a cookie', async () => {
      const dead = (await visitor()).cookie;
      await lab.database.query('DELETE FROM sessions');
      expect(await answersTo(dead, (session) => session.keys())).toEqual([200, undefined]);
      expect(await answersTo(dead, (session) => session.clear())).toEqual([200, undefined]);
      const cleared = expect.stringMatching(/^sid=;.*Max-Age=0/) as unknown;
      expect(await answersTo(dead, (session) => session.destroy())).toEqual([200, undefined, cleared]);
      expect(await answersTo('sid=junk', (session) => session.destroy())).toEqual([200, undefined, cleared]);
      expect(await answersTo('other=1', (session) => session.destroy())).toEqual([200, undefined]);
      expect(await answersTo((await visitor()).cookie, (session) => session.destroy())).toEqual([
        200,
        undefined,
        cleared,
      ]);
    });

    it('[line 4] a sign-out twice, at once and one after the other, is one', async () => {
      const client = await visitor();
      const { cookie } = client;
      const replies = await times(6, (index) => lab.act(lab.at(client, index), (session) => session.destroy()));
      expect(replies.map((reply) => [reply.status, reply.setCookies.length])).toEqual(times6([200, 1]));
      expect((await lab.act(holder(cookie), (session) => session.destroy())).status).toBe(200);
      expect(await lab.rows()).toEqual([]);
    });

    const times6 = <T>(value: T): T[] => Array.from({ length: 6 }, () => value);
  });

  describe('several cookies', () => {
    const twoVisitors = async () => [await visitor(), await visitor()].map(({ cookie }) => cookie);
    const show = (session: Session) => [session.isNew, session.keys()];
    const send = <R>(cookie: string, step: (session: Session) => R | Promise<R>) =>
      lab.act(lab.client(), step, { headers: { cookie } });

    it('[answer: two live cookies] read as anonymous, issue nothing and are an event', async () => {
      const [one, two] = await twoVisitors();
      const ids = (await lab.rows()).map(({ id }) => id);
      for (const cookie of [`${one}; ${two}`, `${two}; ${one}; sid=junk`, `${one}; ${two}; ${one}`]) {
        lab.nodes[0].events.splice(0);
        const reply = await send(cookie, show);
        expect([reply.status, reply.body.value, reply.setCookies]).toEqual([200, [true, []], []]);
        const [event, ...others] = lab.nodes[0].events;
        expect([event?.type, others]).toEqual(['duplicate-cookie', []]);
        expect(event?.type === 'duplicate-cookie' && [...event.ids].sort()).toEqual([...ids].sort());
      }
      const before = await lab.rows();
      for (const write of [
        (session: Session) => session.set('a', 2),
        (session: Session) => session.login('ann'),
        (session: Session) => session.destroy(),
        (session: Session) => session.increment('a'),
      ]) {
        const reply = await send(`${one}; ${two}`, write);
        expect([...outcomeOf(reply), ...reply.setCookies]).toEqual([409, 'SESSION_AMBIGUOUS']);
      }
      expect(await lab.rows()).toEqual(before);
    });

    it('[answer: two live cookies] junk beside one live token is ignored, in both orders', async () => {
      const [one, two] = await twoVisitors();
      await lab.database.query(
        'DELETE FROM sessions WHERE id = (SELECT id FROM sessions ORDER BY created_at DESC LIMIT 1)',
      );
      for (const other of [two!, 'sid=junk', 'sid=', `sid=${'C'.repeat(43)}`, one!]) {
        for (const cookie of [`${one}; ${other}`, `${other}; ${one}`]) {
          const reply = await send(cookie, show);
          expect([reply.body.value, reply.setCookies]).toEqual([[false, ['a', 'list']], []]);
        }
      }
      expect(lab.nodes[0].events).toEqual([]);
    });

    it('[answer: two live cookies] the cookie that a sign-in replaced does not stand in the way of the new one', async () => {
      const client = await visitor();
      const old = client.cookie;
      await lab.value(client, (session) => session.login('ann'));
      for (const cookie of [`${old}; ${client.cookie}`, `${client.cookie}; ${old}`]) {
        expect((await send(cookie, (session) => session.userId)).body.value).toBe('ann');
      }
    });

    it('[answer: two first requests] make two sessions, and the browser keeps one', async () => {
      const browser = lab.client();
      const meet = barrier(2);
      const replies = await times(2, (index) =>
        lab.act(browser, async (session) => {
          await meet();
          session.set('mine', index);
        }),
      );
      const issued = replies.map(({ setCookies }: Reply) => setCookies.map((line) => line.split(';')[0]));
      expect(issued.map((lines) => lines.length)).toEqual([1, 1]);
      expect(new Set(issued.flat()).size).toBe(2);
      expect(issued.flat()).toContain(browser.cookie);
      const kept = issued.findIndex(([line]) => line === browser.cookie);
      expect(await lab.data(browser)).toEqual({ mine: kept });
      expect(new Set((await lab.rows()).map(({ data }) => data.mine))).toEqual(new Set([0, 1]));
    });
  });
});
