import { describe, expect, it } from '@jest/globals';
import type { LoginOptions, Session } from 'nestjs-typeorm-session';
import { PLATFORMS } from '../support/app.js';
import type { Client, Reply } from '../support/client.js';
import { Gate, outcomeOf, REFUSED_VALUE, tally, times, useLab } from '../support/lab.js';

const DAY = 86_400_000;

/** Seconds of the Max-Age of the only Set-Cookie; `undefined` where it has none. */
function maxAgeOf({ setCookies }: Reply): number | undefined {
  expect(setCookies).toHaveLength(1);
  const [, seconds] = /; Max-Age=(\d+)/.exec(setCookies[0]!) ?? [];
  return seconds === undefined ? undefined : Number(seconds);
}

describe.each(PLATFORMS)('a new token on %s', (platform) => {
  const lab = useLab(platform, { session: { maxAbsoluteTimeout: '90d' } });

  const isLive = async (cookie: string) => {
    const answers = await times(2, (node) => {
      const client = lab.client(node as 0 | 1);
      client.cookie = cookie;
      return lab.value(client, (session) => !session.isNew);
    });
    expect(answers[0]).toBe(answers[1]);
    return answers[0]!;
  };

  describe('by regenerate', () => {
    it('[line 5] is one UPDATE: same id, same data, pending changes included', async () => {
      const client = await lab.visitor({ a: 1, list: [1], gone: 1 });
      const before = await lab.row();
      const old = client.cookie;
      lab.proxy.reset();
      const reply = await lab.act(client, async (session) => {
        session.set('b', 2);
        session.delete('gone');
        (session.get('list') as number[]).push(2);
        session.flash('notice', 'x');
        await session.regenerate();
        return session.id;
      });
      expect(lab.verbs).toEqual(['SELECT', 'UPDATE']);
      expect([reply.body.value, reply.setCookies.length]).toEqual([before.id, 1]);
      const after = await lab.row();
      expect(after).toMatchObject({ id: before.id, user_id: null, version: 2 });
      expect(after.data).toEqual({ a: 1, b: 2, list: [1, 2], $flash: { notice: ['x'] } });
      expect(after.token_hash.equals(before.token_hash)).toBe(false);
      expect([await isLive(old), await isLive(client.cookie)]).toEqual([false, true]);
    });

    it('[line 5] the old token is dead at once, on both nodes, before the response is out', async () => {
      const client = await lab.visitor();
      const old = client.cookie;
      const gate = new Gate();
      const pending = lab.act(client, async (session) => {
        await session.regenerate();
        await gate.pass();
      });
      await gate.reached;
      expect(await isLive(old)).toBe(false);
      gate.open();
      expect((await pending).status).toBe(200);
      expect(await isLive(client.cookie)).toBe(true);
    });

    it('[line 5] of ten at the same time has one successor', async () => {
      for (let round = 0; round < 5; round++) {
        const client = await lab.visitor({ round });
        const { id } = (await lab.rows()).at(-1)!;
        const others = await times(10, async (index) => {
          const other = lab.at(client, index);
          return { other, reply: await lab.act(other, (session) => session.regenerate()) };
        });
        expect(tally(others.map(({ reply }) => reply))).toEqual({ 200: 1, SESSION_REPLACED: 9 });
        const cookies = new Set(others.flatMap(({ reply }) => reply.setCookies));
        expect(cookies.size).toBe(1);
        const winner = others.find(({ reply }) => reply.status === 200)!.other;
        expect(await lab.value(winner, (session) => session.id)).toBe(id);
        expect(await isLive(client.cookie)).toBe(false);
      }
      expect(await lab.rows()).toHaveLength(5);
    });

    it('[line 5] goes on in the same request with the new token', async () => {
      const client = await lab.visitor({ n: 1 });
      await lab.value(client, async (session) => {
        await session.regenerate();
        await session.increment('n');
        session.set('after', 1);
        await session.save();
        await session.regenerate();
        session.set('last', 1);
      });
      expect(await lab.row()).toMatchObject({ data: { n: 2, after: 1, last: 1 }, version: 6 });
      expect(await isLive(client.cookie)).toBe(true);
    });

    it('[line 5] stays where the handler fails afterwards, and so does its cookie', async () => {
      const client = await lab.visitor();
      const old = client.cookie;
      const reply = await lab.act(client, async (session) => {
        await session.regenerate();
        session.set('dropped', 1);
        throw new Error('the handler');
      });
      expect([reply.status, reply.setCookies.length]).toEqual([500, 1]);
      expect([await isLive(old), await isLive(client.cookie)]).toEqual([false, true]);
      expect((await lab.row()).data).toEqual({ visitor: true });
    });
  });

  describe('by login', () => {
    it('[line 5] is one UPDATE that keeps the id and the named keys alone', async () => {
      const client = await lab.visitor({ cart: ['tea'], planted: 1, isAdmin: true });
      const { id } = await lab.row();
      const old = client.cookie;
      const verbs = await lab.verbsOf(client, async (session) => {
        session.set('cart', ['tea', 'pot']);
        session.set('planted', 2);
        await session.login('ann', { keep: ['cart', 'absent'] });
        expect([session.userId, session.id, session.keys()]).toEqual(['ann', id, ['cart']]);
      });
      expect(verbs).toEqual(['SELECT', 'UPDATE']);
      expect(await lab.row()).toMatchObject({ id, user_id: 'ann', version: 2 });
      expect((await lab.row()).data).toEqual({ cart: ['tea', 'pot'] });
      expect([await isLive(old), await isLive(client.cookie)]).toEqual([false, true]);
    });

    it('[line 5] keeps nothing unless asked, also of what other requests add meanwhile', async () => {
      const client = await lab.visitor({ planted: 1 });
      const gate = new Gate();
      const pending = lab.act(client, async (session) => {
        session.keys();
        await gate.pass();
        await session.login('ann');
        session.set('mine', 1);
      });
      await gate.reached;
      await lab.value(lab.at(client, 1), (session) => session.increment('planted too'));
      gate.open();
      expect((await pending).status).toBe(200);
      expect((await lab.row()).data).toEqual({ mine: 1 });
    });

    it('[line 5] changes the token every time, of who is signed in already too', async () => {
      const client = await lab.visitor();
      const cookies = [client.cookie];
      for (const user of ['ann', 'ann', 'bea']) {
        await lab.value(client, (session) => session.login(user));
        cookies.push(client.cookie);
      }
      expect(new Set(cookies).size).toBe(4);
      expect(await Promise.all(cookies.map(isLive))).toEqual([false, false, false, true]);
      expect(await lab.row()).toMatchObject({ user_id: 'bea' });
    });

    it('[line 5] refuses a user id that is none, and changes nothing', async () => {
      const client = await lab.visitor({ a: 1 });
      const before = await lab.row();
      const wrong: [userId: unknown, options?: unknown][] = [
        [''],
        [undefined],
        [42],
        ['x'.repeat(256)],
        ['a\0b'],
        ['\ud800'],
        ['ann', { idleTimeout: 'soon' }],
        ['ann', { absoluteTimeout: -1 }],
        ['ann', { persistent: 'yes' }],
      ];
      for (const [userId, options] of wrong) {
        const reply = await lab.act(client, (session) => session.login(userId as string, options as LoginOptions));
        expect([userId, options, ...outcomeOf(reply)]).toEqual([userId, options, ...REFUSED_VALUE]);
        expect([reply.setCookies, await lab.row()]).toEqual([[], before]);
      }
    });
  });

  describe('with five requests under way', () => {
    it('[line 4] [answer: late answers] each of 25 sign-ins leaves the client signed in', async () => {
      const outcomes: Record<string, number> = {};
      const five: ((session: Session) => unknown)[] = [
        (session) => session.entries(),
        (session) => session.set('visits', 1),
        (session) => session.increment('count'),
        (session) => session.append('log', 'x'),
        (session) => session.flash('notice', 'x'),
      ];
      for (let round = 0; round < 25; round++) {
        const browser = await lab.visitor({ cart: ['tea'] });
        const old = browser.cookie;
        const { id } = (await lab.rows()).at(-1)!;
        // Each is loaded before the sign-in, while it runs, or after it, and answered in any order.
        const loaded = five.filter((_, index) => (index + round) % 3 === 0);
        const gate = new Gate(loaded.length);
        const send = (step: (session: Session) => unknown, waits: boolean) =>
          lab.act(
            browser,
            async (session) => {
              session.keys();
              if (waits) await gate.pass();
              await step(session);
            },
            { headers: { cookie: old } },
          );
        const early = loaded.map((step) => send(step, true));
        await gate.reached;
        const signIn = lab.act(browser, (session) => session.login('ann', { keep: ['cart'] }), {
          headers: { cookie: old },
        });
        const during = five.filter((_, index) => (index + round) % 3 === 1).map((step) => send(step, false));
        if (round % 2) gate.open();
        expect(outcomeOf(await signIn)).toEqual([200, undefined]);
        const after = five.filter((_, index) => (index + round) % 3 === 2).map((step) => send(step, false));
        gate.open();
        const replies = await Promise.all([...early, ...during, ...after]);
        expect(replies).toHaveLength(5);
        expect(replies.flatMap(({ setCookies }) => setCookies)).toEqual([]);
        for (const [outcome, count] of Object.entries(tally(replies))) {
          outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
        }
        const seen = await lab.value(browser, (session) => [
          session.id,
          session.userId,
          session.get('cart') as unknown,
        ]);
        expect(seen).toEqual([id, 'ann', ['tea']]);
      }
      // Nothing but success and a clean refusal, and both did happen.
      expect(Object.keys(outcomes).sort()).toEqual(['200', 'SESSION_REPLACED']);
      expect(await lab.rows()).toHaveLength(25);
    });
  });

  describe('remember me', () => {
    const signIn = async (options: LoginOptions, client = lab.client()) => {
      const reply = await lab.act(client, (session) => session.login('ann', options));
      expect(reply.status).toBe(200);
      const [span] = await lab.database.query<{ idle: number; absolute: number; idle_timeout: string }>(
        `SELECT extract(epoch FROM expires_at - touched_at)::float8 * 1000 AS idle,
           extract(epoch FROM absolute_expires_at - touched_at)::float8 * 1000 AS absolute, idle_timeout, persistent
         FROM sessions ORDER BY created_at DESC LIMIT 1`,
      );
      return { client, maxAge: maxAgeOf(reply), ...span! };
    };

    it('[answer: remember me] gives this session timeouts of its own, and the cookie its Max-Age', async () => {
      const remembered = await signIn({ idleTimeout: '30d', absoluteTimeout: '60d' });
      expect(remembered).toMatchObject({ idle: 30 * DAY, absolute: 60 * DAY, maxAge: 60 * 86_400, persistent: true });
      const plain = await signIn({});
      expect(plain).toMatchObject({ idle: DAY, absolute: 14 * DAY, maxAge: 14 * 86_400, persistent: true });
      expect(Number(remembered.idle_timeout)).toBe(30 * DAY);
    });

    it('[answer: remember me] is capped by maxAbsoluteTimeout, and idle ends no later than absolute', async () => {
      const capped = await signIn({ idleTimeout: '365d', absoluteTimeout: '365d' });
      expect(capped).toMatchObject({ idle: 90 * DAY, absolute: 90 * DAY, maxAge: 90 * 86_400 });
      const short = await signIn({ absoluteTimeout: '1h' });
      expect(short).toMatchObject({ idle: DAY / 24, absolute: DAY / 24, maxAge: 3_600 });
    });

    it('[answer: remember me] leaves a cookie that ends with the browser without Max-Age, also when it is regenerated', async () => {
      const session = await signIn({ persistent: false, absoluteTimeout: '30d' });
      expect(session).toMatchObject({ maxAge: undefined, persistent: false, absolute: 30 * DAY });
      expect(maxAgeOf(await lab.act(session.client, (own) => own.regenerate()))).toBeUndefined();
      expect((await lab.row()).persistent).toBe(false);
      // The next sign-in says it anew.
      expect(await signIn({}, session.client)).toMatchObject({ maxAge: 14 * 86_400, persistent: true, idle: DAY });
    });

    it('[answer: remember me] holds for that session when it is touched and regenerated, on any node', async () => {
      const { client } = await signIn({ idleTimeout: '30d', absoluteTimeout: '60d' });
      const other: Client = await lab.visitor();
      await lab.alter(
        `touched_at = touched_at - interval '2 days', expires_at = least(expires_at, created_at + interval '20 days')`,
      );
      await lab.value(lab.at(client, 1), (session) => session.keys());
      await lab.value(lab.at(other, 1), (session) => session.keys());
      const [mine, theirs] = await lab.rows();
      expect(mine!.expires_at.getTime() - mine!.touched_at.getTime()).toBe(30 * DAY);
      expect(theirs!.expires_at.getTime() - theirs!.touched_at.getTime()).toBe(DAY);
      const left = maxAgeOf(await lab.act(client, (session) => session.regenerate()))!;
      expect(60 * 86_400 - left).toBeLessThan(60);
    });
  });
});
