import { InternalServerErrorException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { PLATFORMS } from '../support/app.js';
import { Gate, GONE, outcomeOf, REFUSED_VALUE, REPLACED } from '../support/lab.js';
import { useViewLab, type View } from '../support/view-lab.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

describe.each(PLATFORMS)('[req.session] on %s', (platform) => {
  const lab = useViewLab(platform);

  describe('its properties', () => {
    it('are the values that SessionService and @Session() see, and theirs are its', async () => {
      const client = lab.client();
      await lab.seen(client, ({ session }) => void (session.cart = ['book']));
      expect(await lab.data(client)).toEqual({ cart: ['book'] });
      await lab.value(client, (session) => session.set('theme', 'dark'));
      expect(await lab.seen(client, ({ session }) => [session.theme, session.cart])).toEqual(['dark', ['book']]);
    });

    it('are tracked, nested ones too, and deleted ones', async () => {
      const client = await lab.visitor({ cart: [1], a: { b: { c: 1 } }, gone: 1 });
      await lab.seen(client, ({ session }) => {
        session.cart.push(2);
        session.a.b.c += 1;
        delete session.gone;
      });
      expect(await lab.data(client)).toEqual({ cart: [1, 2], a: { b: { c: 2 } } });
    });

    it('behave as those of an object', async () => {
      const client = await lab.visitor({ a: 1, b: [2] });
      const seen = await lab.seen(client, ({ session }) => {
        const iterated: string[] = [];
        for (const key in session) iterated.push(key);
        const { cookie, ...rest } = session;
        Object.assign(session, { c: 3 });
        Object.defineProperty(session, 'd', { value: 4, configurable: true, enumerable: true, writable: true });
        return {
          keys: Object.keys(session),
          iterated,
          rest,
          json: JSON.parse(JSON.stringify(session)) as Record<string, unknown>,
          in: ['a' in session, 'absent' in session, 'save' in session],
          own: [Object.hasOwn(session, 'a'), Object.hasOwn(session, 'save'), session.hasOwnProperty('b')],
          cookie: typeof cookie,
          absent: session.absent === undefined,
        };
      });
      expect(seen).toMatchObject({
        keys: ['cookie', 'a', 'b', 'c', 'd'],
        iterated: ['cookie', 'a', 'b'],
        rest: { a: 1, b: [2] },
        json: { a: 1, b: [2], c: 3, d: 4, cookie: { httpOnly: true, path: '/' } },
        in: [true, false, true],
        own: [true, false, true],
        cookie: 'object',
        absent: true,
      });
      expect(await lab.data(client)).toEqual({ a: 1, b: [2], c: 3, d: 4 });
    });

    it('hide what the library keeps for itself', async () => {
      const client = lab.client();
      await lab.value(client, (session) => session.flash('info', 'saved'));
      const seen = await lab.seen(client, ({ session }) => [Object.keys(session), session.$flash === undefined]);
      expect(seen).toEqual([['cookie'], true]);
    });

    it.each([
      ['a member', 'save', 1, 'SESSION_KEY'],
      ['the id', 'id', 'x', 'SESSION_KEY'],
      ['a key of the library', '$flash', 1, 'SESSION_KEY'],
      ['a prototype', '__proto__', {}, 'SESSION_KEY'],
      ['no JSON', 'when', new Date(0), 'SESSION_VALUE'],
    ])('cannot be %s', async (_what, key, value, code) => {
      const reply = await lab.see(lab.client(), ({ session }) => {
        session[key] = value;
      });
      expect(outcomeOf(reply)).toEqual([500, code]);
      expect(await lab.rows()).toEqual([]);
    });

    it('[line 2] both survive where two requests change different ones at once', async () => {
      const client = await lab.visitor({ cart: [1] });
      const gate = new Gate();
      const slow = lab.see(lab.at(client, 1), async ({ session }) => {
        session.first = session.cart.length;
        await gate.pass();
      });
      await gate.reached;
      await lab.seen(client, ({ session }) => {
        session.second = 2;
        session.cart.push(2);
      });
      gate.open();
      expect(outcomeOf(await slow)).toEqual([200, undefined]);
      expect(await lab.data(client)).toEqual({ cart: [1, 2], first: 1, second: 2 });
    });

    it('[line 7] are not saved where the handler ends in 500, unless saved before', async () => {
      const client = await lab.visitor({ a: 1 });
      const reply = await lab.see(client, async ({ session }) => {
        session.saved = true;
        await session.save();
        session.lost = true;
        throw new InternalServerErrorException();
      });
      expect(reply.status).toBe(500);
      expect(await lab.data(client)).toEqual({ a: 1, saved: true });
    });
  });

  describe('what it costs', () => {
    it('[line 8] is nothing without a cookie, and without a look', async () => {
      lab.proxy.reset();
      const stranger = await lab.client().get('/untouched');
      expect([stranger.headers.get('vary'), stranger.setCookies, lab.verbs]).toEqual([null, [], []]);
      const looked = await lab.see(lab.client(), ({ session }) => session.cart === undefined);
      expect([looked.headers.get('vary'), looked.setCookies, lab.verbs]).toEqual(['Cookie', [], []]);
    });

    it('is one SELECT with a cookie, and one UPDATE for what was changed', async () => {
      const client = await lab.visitor({ a: 1 });
      lab.proxy.reset();
      const unlooked = await client.get('/untouched');
      expect([unlooked.headers.get('vary'), lab.verbs]).toEqual([null, ['SELECT']]);
      expect(await lab.verbsOfView(client, ({ session }) => session.a as unknown)).toEqual(['SELECT']);
      expect(await lab.verbsOfView(client, ({ session }) => void (session.b = 1))).toEqual(['SELECT', 'UPDATE']);
      expect(await lab.verbsOfView(lab.client(), ({ session }) => void (session.b = 1))).toEqual(['INSERT']);
    });

    it('is nothing for a preflight, which sees an empty session that it cannot change', async () => {
      const client = await lab.visitor({ a: 1 });
      lab.proxy.reset();
      const reply = await client.request('OPTIONS', '/untouched', undefined, {
        headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'GET' },
      });
      expect([reply.setCookies, reply.headers.get('vary'), lab.verbs]).toEqual([[], null, []]);
      const seen = await client.request('OPTIONS', '/preflight');
      expect(seen.body).toEqual({ keys: ['cookie'], code: 'SESSION_COMMITTED' });
      expect([seen.setCookies, lab.verbs]).toEqual([[], []]);
      expect(await lab.data(client)).toEqual({ a: 1 });
    });
  });

  describe('save', () => {
    it('[line 1] has committed when its callback runs, and a redirect finds it on another connection', async () => {
      const client = lab.client();
      let fresh: unknown;
      const path = lab.pathToView(({ session }, response) => {
        session.user = 'ann';
        const returned = session.save((error) => {
          void lab.rows().then((rows) => {
            fresh = [error, rows.map(({ data }) => data)];
            response.redirect('/elsewhere');
          });
        });
        expect(returned).toBe(session);
      }, 'callback');
      const reply = await client.post(path);
      expect(reply.headers.get('location')).toBe('/elsewhere');
      expect(fresh).toEqual([undefined, [{ user: 'ann' }]]);
      expect(await lab.seen(lab.at(client, 1), ({ session }) => session.user as unknown)).toBe('ann');
    });

    it('is a promise without a callback', async () => {
      const client = lab.client();
      const rows = await lab.seen(client, async ({ session }) => {
        session.user = 'ann';
        await session.save();
        return (await lab.rows()).length;
      });
      expect(rows).toBe(1);
    });

    it('[line 4] never brings back a session that was destroyed meanwhile', async () => {
      const client = await lab.visitor({ a: 1 });
      const gate = new Gate();
      let failed: unknown;
      const slow = lab.see(lab.at(client, 1), async ({ session }) => {
        session.late = session.a as unknown;
        await gate.pass();
        await new Promise<void>((resolve) => {
          void session.save((error) => {
            failed = (error as { code: string }).code;
            resolve();
          });
        });
      });
      await gate.reached;
      await lab.seen(client, ({ session }) => session.destroy());
      gate.open();
      expect(outcomeOf(await slow)).toEqual(GONE);
      expect(failed).toBe('SESSION_GONE');
      expect(await lab.rows()).toEqual([]);
    });
  });

  describe('regenerate', () => {
    it('gives a new token, empty data and a fresh object, while the old object keeps its data', async () => {
      const client = await lab.visitor({ cart: [1], theme: 'dark' });
      await lab.value(client, (session) => session.login('ann', { keep: ['cart', 'theme'] }));
      const { cookie } = client;
      const seen = await lab.seen(client, async (request) => {
        const old = request.session;
        old.late = true;
        await request.session.regenerate();
        request.session.fresh = 1;
        const error = await attempt(() => (old.lost = 1));
        return {
          isOther: request.session !== old,
          old: { ...old, cookie: 0 },
          now: Object.keys(request.session),
          error,
        };
      });
      expect(seen).toEqual({
        isOther: true,
        old: { cookie: 0, cart: [1], theme: 'dark', late: true },
        now: ['cookie', 'fresh'],
        error: 'SESSION_REPLACED',
      });
      expect(client.cookie).not.toBe(cookie);
      expect(await lab.row()).toMatchObject({ data: { fresh: 1 }, user_id: null });
    });

    it('[line 4] leaves the old token dead, for who was under way with it too', async () => {
      const client = await lab.visitor({ a: 1 });
      const old = lab.at(client, 1);
      const gate = new Gate();
      const slow = lab.see(old, async ({ session }) => {
        session.late = session.a as unknown;
        await gate.pass();
      });
      await gate.reached;
      await lab.seen(client, ({ session }) => session.regenerate());
      gate.open();
      expect(outcomeOf(await slow)).toEqual(REPLACED);
      expect(await lab.seen(old, ({ session }) => session.a === undefined)).toBe(true);
      expect(await lab.data(client)).toEqual({});
    });

    it('is one UPDATE, and none where there is no session', async () => {
      const client = await lab.visitor({ a: 1 });
      expect(await lab.verbsOfView(client, ({ session }) => session.regenerate())).toEqual(['SELECT', 'UPDATE']);
      const stranger = lab.client();
      expect(await lab.verbsOfView(stranger, ({ session }) => session.regenerate())).toEqual([]);
      expect(stranger.cookie).toBe('');
    });

    it('starts a life of its own, as a sign-in does', async () => {
      const client = await lab.visitor({ a: 1 });
      await lab.alter(`absolute_expires_at = now() + interval '1 hour', expires_at = now() + interval '1 hour'`);
      await lab.seen(client, ({ session }) => session.regenerate());
      const { absolute_expires_at: end } = await lab.row();
      expect(end.getTime() - Date.now()).toBeGreaterThan(13 * DAY);
    });
  });

  describe('destroy', () => {
    it('deletes the row, clears the cookie, and what is set afterwards is a new session', async () => {
      const client = await lab.visitor({ a: 1 });
      const { id } = await lab.row();
      const seen = await lab.seen(client, async (request) => {
        const old = request.session;
        await old.destroy();
        return [old.a, request.session.a === undefined, await attempt(() => old.save())];
      });
      expect(seen).toEqual([1, true, 'SESSION_GONE']);
      expect(await lab.rows()).toEqual([]);
      expect(client.cookie).toBe('');
      const other = await lab.visitor({ a: 1 });
      await lab.seen(other, async (request) => {
        await request.session.destroy();
        request.session.message = 'signed out';
      });
      expect(await lab.row()).toMatchObject({ data: { message: 'signed out' } });
      expect((await lab.row()).id).not.toBe(id);
    });

    it('calls back after the row is gone', async () => {
      const client = await lab.visitor({ a: 1 });
      let rows = -1;
      const path = lab.pathToView(({ session }, response) => {
        void session.destroy(() => {
          void lab.rows().then((left) => {
            rows = left.length;
            response.redirect('/');
          });
        });
      }, 'callback');
      await client.post(path);
      expect(rows).toBe(0);
    });
  });

  it('reload shows what others have written, and drops what was not saved', async () => {
    const client = await lab.visitor({ a: 1 });
    const seen = await lab.seen(client, async ({ session }) => {
      session.a = 'unsaved';
      await lab.value(lab.at(client, 1), (other) => other.set('a', 2));
      await session.reload();
      return session.a as unknown;
    });
    expect(seen).toBe(2);
    expect(await lab.data(client)).toEqual({ a: 2 });
    const gone = await lab.see(client, async ({ session }) => {
      await lab.value(lab.at(client, 1), (other) => other.destroy());
      await session.reload();
    });
    expect(outcomeOf(gone)).toEqual(GONE);
  });

  it('touch moves the expiry at once', async () => {
    const client = await lab.visitor({ a: 1 });
    await lab.alter(`touched_at = now() - interval '1 second', expires_at = now() + interval '1 hour'`);
    await lab.seen(client, ({ session }) => session.touch());
    expect((await lab.row()).expires_at.getTime() - Date.now()).toBeGreaterThan(DAY - MINUTE);
  });

  it('has the public id, which is not the token, as id and as req.sessionID', async () => {
    const client = await lab.visitor({ a: 1 });
    const { id } = await lab.row();
    expect(await lab.seen(client, (request) => [request.session.id, request.sessionID])).toEqual([id, id]);
  });

  it('cannot be replaced, and says what to do instead', async () => {
    const reply = await lab.see(await lab.visitor({ a: 1 }), (request) => {
      request.session = null as unknown as View;
    });
    expect(outcomeOf(reply)).toEqual(REFUSED_VALUE);
    expect(reply.body.message).toMatch(/req\.session\.destroy\(\)/);
    expect(await lab.rows()).toHaveLength(1);
  });

  describe('its cookie', () => {
    it('tells the lifetime of the session and the attributes of the options', async () => {
      const client = await lab.visitor({ a: 1 });
      const cookie = await lab.seen(client, ({ session }) => ({
        ...session.cookie.toJSON(),
        maxAge: session.cookie.maxAge,
        expires: session.cookie.expires.getTime() - Date.now() > DAY - MINUTE,
      }));
      expect(cookie).toEqual({
        maxAge: DAY,
        originalMaxAge: DAY,
        expires: true,
        httpOnly: true,
        secure: false,
        path: '/',
        sameSite: 'lax',
        partitioned: false,
      });
    });

    it('makes a session live longer from its first write on, past the absolute timeout where it has to', async () => {
      const client = lab.client();
      const reply = await lab.see(client, ({ session }) => {
        session.user = 'ann';
        session.cookie.maxAge = 30 * DAY;
      });
      expect(maxAgeOf(reply.setCookies)).toBe(30 * DAY);
      expect(await lifetime()).toEqual({ idle: 30, left: 30, end: 30, persistent: true });
    });

    it('makes one longer in the request that regenerated it', async () => {
      const client = await lab.visitor({ a: 1 });
      const reply = await lab.see(client, async (request) => {
        await request.session.regenerate();
        request.session.cookie.maxAge = 30 * DAY;
      });
      expect(reply.setCookies).toHaveLength(1);
      expect(maxAgeOf(reply.setCookies)).toBe(30 * DAY);
      expect(await lifetime()).toEqual({ idle: 30, left: 30, end: 30, persistent: true });
      expect((await lab.see(client, ({ session }) => session.a as unknown)).status).toBe(200);
    });

    it('[line 6] moves the idle expiry of one that exists, and never its absolute one', async () => {
      const client = await lab.visitor({ a: 1 });
      const longer = await lab.see(client, ({ session }) => void (session.cookie.maxAge = 30 * DAY));
      expect(longer.setCookies).toEqual([]);
      expect(await lifetime()).toEqual({ idle: 30, left: 14, end: 14, persistent: true });
      await lab.see(client, ({ session }) => void (session.cookie.expires = new Date(Date.now() + 2 * DAY)));
      expect(await lifetime()).toEqual({ idle: 2, left: 2, end: 14, persistent: true });
      const same = (): Promise<string[]> =>
        lab.verbsOfView(client, ({ session }) => void (session.cookie.expires = new Date(Date.now() + 2 * DAY)));
      expect(await same()).toEqual(['SELECT']);
    });

    it('is sent again with a new token where it is to end with the browser, and tells the end of the old one', async () => {
      const client = await lab.visitor({ a: 1 });
      const old = lab.at(client, 0);
      const reply = await lab.see(client, ({ session }) => void (session.cookie.maxAge = null));
      expect(reply.setCookies).toHaveLength(1);
      expect(reply.setCookies[0]).not.toMatch(/max-age|expires/i);
      expect(await lifetime()).toEqual({ idle: 1, left: 1, end: 14, persistent: false });
      expect(await lab.data(client)).toEqual({ a: 1 });
      expect(outcomeOf(await lab.see(old, ({ session }) => void (session.b = 1)))).toEqual(REPLACED);
    });

    it('goes back with resetMaxAge, takes what another cookie says, and refuses what is not of one session', async () => {
      const client = await lab.visitor({ a: 1 });
      await lab.seen(client, ({ session }) => {
        session.cookie.maxAge = MINUTE;
        expect(session.resetMaxAge()).toBe(session);
        session.cookie.secure = false;
        session.cookie = { ...session.cookie.toJSON(), path: '/' };
      });
      expect(await lifetime()).toMatchObject({ idle: 1, left: 1 });
      await lab.seen(client, ({ session }) => void (session.cookie = { maxAge: 2 * DAY }));
      expect(await lifetime()).toMatchObject({ idle: 2, left: 2 });
      for (const wrong of [
        { secure: true },
        { sameSite: 'none' },
        { maxAge: -1 },
        { maxAge: 'long' },
        { maxAge: NaN },
      ]) {
        const reply = await lab.see(client, ({ session }) => void Object.assign(session.cookie as object, wrong));
        expect(outcomeOf(reply)).toEqual(REFUSED_VALUE);
      }
      expect(await lifetime()).toMatchObject({ idle: 2, left: 2 });
    });
  });

  /** Days, rounded. */
  async function lifetime() {
    const { idle_timeout: idle, expires_at: left, absolute_expires_at: end, persistent } = await lab.row();
    const days = (date: Date) => Math.round((date.getTime() - Date.now()) / DAY);
    return { idle: Number(idle) / DAY, left: days(left), end: days(end), persistent };
  }
});

function maxAgeOf(setCookies: readonly string[]): number {
  return Number(/max-age=(\d+)/i.exec(setCookies[0]!)?.[1]) * 1000;
}

async function attempt(call: () => unknown): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}
