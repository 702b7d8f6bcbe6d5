import { ConflictException, InternalServerErrorException, NotFoundException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import type { Session } from 'nestjs-typeorm-session';
import { PLATFORMS } from '../support/app.js';
import type { Client } from '../support/client.js';
import { barrier, Gate, outcomeOf, REFUSED_VALUE, tally, times, useLab } from '../support/lab.js';

/** Everything that some path syntax, quoting or array literal would stumble over. */
const ODD_KEYS = [
  'a.b',
  "a'b",
  'a"b',
  'a`b',
  'a[0]',
  'a]b',
  'a{b}',
  'a,b',
  'a\\b',
  'a\\"b',
  'a$b',
  '*',
  '?',
  '#',
  '%s',
  '--',
  "'; DROP TABLE sessions; --",
  'two words',
  ' ',
  '0',
  '42',
  '-1',
  '1e3',
  'null',
  'NULL',
  '{}',
  'toString',
  'hasOwnProperty',
  'ключ',
  'é',
  'e\u0301',
  '🫖',
  '\u2028',
  'x'.repeat(128),
];

describe.each(PLATFORMS)('plain writes on %s', (platform) => {
  const lab = useLab(platform);

  /** Two requests that load before either commits; the first is answered before the second goes on. */
  async function overlap(client: Client, first: (session: Session) => void, second: (session: Session) => void) {
    const gates = [new Gate(), new Gate()] as const;
    const replies = [first, second].map((step, index) =>
      lab.act(lab.at(client, index), async (session) => {
        session.keys();
        await gates[index]!.pass();
        step(session);
      }),
    );
    await Promise.all(gates.map((gate) => gate.reached));
    for (const [index, gate] of gates.entries()) {
      gate.open();
      expect(outcomeOf(await replies[index]!)).toEqual([200, undefined]);
    }
    return lab.data(client);
  }

  describe('merge per top-level key', () => {
    it('[line 2] keeps what two requests changed under different keys', async () => {
      const client = await lab.visitor({ base: 0 });
      const data = await overlap(
        client,
        (session) => session.set('a', 1),
        (session) => session.set('b', 2),
      );
      expect(data).toEqual({ base: 0, a: 1, b: 2 });
    });

    it('[line 2] keeps of one key what was committed last', async () => {
      const client = await lab.visitor({ key: 'old' });
      const set = (value: string) => (session: Session) => session.set('key', value);
      expect(await overlap(client, set('first'), set('second'))).toEqual({ key: 'second' });
      expect(await overlap(client, set('second'), set('first'))).toEqual({ key: 'first' });
    });

    it('[line 2] does not bring back a key that another request deleted, nor delete one that another set', async () => {
      const client = await lab.visitor({ a: { deep: 1 }, b: 2 });
      const data = await overlap(
        client,
        (session) => session.delete('a'),
        (session) => {
          expect(session.get('a')).toEqual({ deep: 1 });
          session.delete('b');
          session.set('c', 3);
        },
      );
      expect(data).toEqual({ c: 3 });
      const again = await overlap(
        client,
        (session) => session.set('c', 4),
        (session) => session.delete('c'),
      );
      expect(again).toEqual({});
    });

    it('[line 2] keeps the keys of 26 requests that commit at the same time', async () => {
      const client = await lab.visitor({ base: true });
      const letters = [...'abcdefghijklmnopqrstuvwxyz'];
      const meet = barrier(letters.length);
      const replies = await times(letters.length, (index) =>
        lab.act(lab.at(client, index), async (session) => {
          await meet();
          session.set(letters[index]!, index);
        }),
      );
      expect(tally(replies)).toEqual({ 200: 26 });
      expect(await lab.data(client)).toEqual({
        base: true,
        ...Object.fromEntries(letters.map((letter, index) => [letter, index])),
      });
      expect((await lab.row()).version).toBe(27);
    });

    it('[line 2] takes keys literally, whatever characters they have', async () => {
      const client = lab.client();
      const expected = Object.fromEntries(ODD_KEYS.map((key, index) => [key, index]));
      await lab.value(client, (session) => ODD_KEYS.forEach((key, index) => session.set(key, index)));
      expect((await lab.row()).data).toEqual(expected);

      const meet = barrier(ODD_KEYS.length);
      await times(ODD_KEYS.length, (index) =>
        lab.value(lab.at(client, index), async (session) => {
          const key = ODD_KEYS[index]!;
          expect([session.has(key), session.get(key)]).toEqual([true, index]);
          await meet();
          if (index % 2 === 0) session.delete(key);
          else session.set(key, { [key]: [key] });
        }),
      );
      const odd = ODD_KEYS.filter((_, index) => index % 2 === 1);
      expect((await lab.row()).data).toEqual(Object.fromEntries(odd.map((key) => [key, { [key]: [key] }])));
    });

    it('[line 2] replaces a nested object as a whole, and null is a value', async () => {
      const client = await lab.visitor({ prefs: { theme: 'dark', font: { size: 12 } }, gone: 1 });
      await lab.value(client, (session) => {
        session.set('prefs', { theme: 'light' });
        session.set('gone', null);
      });
      expect((await lab.row()).data).toEqual({ prefs: { theme: 'light' }, gone: null });
      expect(await lab.value(client, (session) => [session.has('gone'), session.get('gone', 'fallback')])).toEqual([
        true,
        null,
      ]);
      await lab.value(client, (session) => {
        const prefs = session.get('prefs') as { theme?: string; font?: object };
        delete prefs.theme;
        prefs.font = { family: 'serif' };
        session.set('gone', undefined);
      });
      expect((await lab.row()).data).toEqual({ prefs: { font: { family: 'serif' } } });
    });

    it('[line 2] writes in one UPDATE that names the changed keys alone', async () => {
      const keys = Array.from({ length: 30 }, (_, index) => `key${index}`);
      const client = await lab.visitor(Object.fromEntries(keys.map((key) => [key, { before: key }])));
      const gate = new Gate();
      lab.proxy.reset();
      const pending = lab.act(client, async (session) => {
        for (const key of keys) session.get(key);
        session.entries();
        await gate.pass();
        session.set('key7', 'changed');
        session.set('key8', 'changed');
        session.delete('key9');
        // Set to what they hold already: no change.
        session.set('key10', { before: 'key10' });
        session.set('new', 1);
        session.delete('new');
      });
      await gate.reached;
      const others = Object.fromEntries(keys.map((key) => [key, 'by SQL']));
      await lab.alter('data = $1', [others]);
      gate.open();
      expect((await pending).status).toBe(200);
      expect(lab.verbs).toEqual(['SELECT', 'UPDATE']);
      const { key9, ...rest } = others;
      expect([key9, (await lab.row()).data]).toEqual(['by SQL', { ...rest, key7: 'changed', key8: 'changed' }]);
    });
  });

  describe('changes are found by snapshot', () => {
    it('[answer: set keeps a reference] and serialises it once, at the commit', async () => {
      const client = lab.client();
      await lab.value(client, (session) => {
        const cart = ['tea'];
        session.set('cart', cart);
        cart.push('pot');
        expect(session.get('cart')).toBe(cart);
      });
      expect((await lab.row()).data).toEqual({ cart: ['tea', 'pot'] });
    });

    it('[answer: set keeps a reference] and saves what changed inside a value that was read', async () => {
      const client = await lab.visitor({ cart: [{ sku: 'tea', tags: ['green'] }], other: { a: 1 } });
      const push = (session: Session) => (session.get('cart') as { tags: string[] }[])[0]!.tags.push('loose');
      expect(await lab.verbsOf(client, push)).toEqual(['SELECT', 'UPDATE']);
      await lab.value(client, (session) => {
        const [, other] = session.entries().find(([key]) => key === 'other')!;
        (other as { a: number }).a = 2;
      });
      expect((await lab.row()).data).toEqual({ cart: [{ sku: 'tea', tags: ['green', 'loose'] }], other: { a: 2 } });
    });

    it('[answer: set keeps a reference] and writes nothing where nothing differs', async () => {
      const client = await lab.visitor({ cart: [{ sku: 'tea' }], n: 1, text: 'é' });
      const look = (session: Session) => {
        session.entries();
        session.get('cart');
        session.set('n', 1);
        session.set('text', 'é');
        session.set('cart', [{ sku: 'tea' }]);
        session.set('absent', 1);
        session.set('absent', undefined);
      };
      expect(await lab.verbsOf(client, look)).toEqual(['SELECT']);
      expect((await lab.row()).version).toBe(1);
      expect(await lab.verbsOf(client, () => 'no look')).toEqual(['SELECT']);
    });

    it('[answer: set keeps a reference] and answers 500 with the path of a value that is no JSON, and saves nothing', async () => {
      const client = await lab.visitor({ cart: [{ sku: 'tea' }], n: 1 });
      const before = await lab.row();
      const cases: [step: (session: Session) => void, path: string][] = [
        [(session) => session.set('cart', [{}, { when: new Date(0) }]), '$.cart[1].when is a Date'],
        [(session) => (session.get('cart') as unknown[]).push(() => 1), '$.cart[1] is a function'],
        [(session) => (session.get('cart') as unknown[]).push(1n), '$.cart[1] is a BigInt'],
        [(session) => (session.get('cart') as unknown[]).push(session.get('cart')), 'contains itself'],
        [(session) => session.set('map', new Map()), '$.map is not a plain object'],
        [(session) => session.set('n', Number.NaN), '$.n is not a finite number'],
        [(session) => session.set('text', '\ud800'), '$.text is not well-formed Unicode'],
        [(session) => session.set('a b', { c: '\0' }), '$["a b"].c contains U+0000'],
      ];
      for (const [step, path] of cases) {
        const reply = await lab.act(client, (session) => {
          session.set('innocent', true);
          step(session);
          return 'done';
        });
        expect(outcomeOf(reply)).toEqual(REFUSED_VALUE);
        expect(reply.body.message).toContain(path);
        expect(await lab.row()).toEqual(before);
      }
      const first = await lab.act(lab.client(), (session) => session.set('when', new Date()));
      expect([outcomeOf(first), first.setCookies]).toEqual([REFUSED_VALUE, []]);
      expect(await lab.rows()).toHaveLength(1);
    });

    it('[answer: set keeps a reference] and minds only what the value has become by then', async () => {
      const client = lab.client();
      await lab.value(client, (session) => {
        const draft: { when: unknown } = { when: new Date(0) };
        session.set('draft', draft);
        draft.when = 'later';
      });
      expect((await lab.row()).data).toEqual({ draft: { when: 'later' } });
    });

    it('[answer: set keeps a reference] and does not judge what was only read', async () => {
      const client = await lab.visitor();
      // Beyond what JavaScript's numbers hold exactly, as another program may have written it.
      await lab.alter(`data = '{"foreign": {"serial": 12345678901234567890}, "n": 1}'`);
      expect(await lab.verbsOf(client, (session) => session.get('foreign') as unknown)).toEqual(['SELECT']);
      await lab.value(client, (session) => {
        session.entries();
        session.set('n', 2);
      });
      expect(await lab.database.query(`SELECT data #>> '{foreign,serial}' AS serial FROM sessions`)).toEqual([
        { serial: '12345678901234567890' },
      ]);
    });
  });

  describe('clear', () => {
    it('[answer: clear] deletes what was loaded or set, and a key that another request adds meanwhile stays', async () => {
      const client = await lab.visitor({ a: 1, b: { deep: true } });
      const gate = new Gate();
      const pending = lab.act(client, async (session) => {
        session.set('mine', 1);
        await gate.pass();
        session.clear();
        expect(session.keys()).toEqual([]);
        session.set('after', 1);
      });
      await gate.reached;
      await lab.value(lab.at(client, 1), (session) => session.set('theirs', 1));
      gate.open();
      expect((await pending).status).toBe(200);
      expect((await lab.row()).data).toEqual({ theirs: 1, after: 1 });
    });

    it('[answer: clear] takes one UPDATE, and none where there is nothing to delete', async () => {
      const client = await lab.visitor({ a: 1, b: 2 });
      expect(await lab.verbsOf(client, (session) => session.clear())).toEqual(['SELECT', 'UPDATE']);
      expect(await lab.verbsOf(client, (session) => session.clear())).toEqual(['SELECT']);
      expect(await lab.verbsOf(lab.client(), (session) => session.clear())).toEqual([]);
    });
  });

  describe('save', () => {
    const failLater = async (session: Session) => {
      session.set('kept', 1);
      await session.save();
      session.set('dropped', 2);
      throw new InternalServerErrorException();
    };

    it('[answer: save in mid-request] [line 7] writes what there is, and it stays when the handler fails', async () => {
      const client = await lab.visitor({ a: 0 });
      expect((await lab.act(client, failLater)).status).toBe(500);
      expect((await lab.row()).data).toEqual({ a: 0, kept: 1 });
    });

    it('[answer: save in mid-request] [line 7] inserts the first row, whose cookie goes out with a 500 too', async () => {
      const client = lab.client();
      const reply = await lab.act(client, failLater);
      expect([reply.status, reply.setCookies.length]).toEqual([500, 1]);
      expect(await lab.data(client)).toEqual({ kept: 1 });
    });

    it('[answer: save in mid-request] leaves the rest to the edge, and writes nothing twice', async () => {
      const client = await lab.visitor({ cart: [1] });
      const verbs = await lab.verbsOf(client, async (session) => {
        const cart = session.get('cart') as number[];
        cart.push(2);
        await session.save();
        await session.save();
        cart.push(3);
        session.set('more', 1);
      });
      expect(verbs).toEqual(['SELECT', 'UPDATE', 'UPDATE']);
      expect((await lab.row()).data).toEqual({ cart: [1, 2, 3], more: 1 });
      expect(await lab.verbsOf(client, (session) => session.save())).toEqual(['SELECT']);
    });

    it('[line 7] saves no data of a handler that ends in 5xx, and all of one that ends in 4xx', async () => {
      const client = await lab.visitor({ a: 0 });
      const change = (error: Error) => (session: Session) => {
        session.set('a', error.name);
        throw error;
      };
      expect(await lab.verbsOf(client, change(new InternalServerErrorException()))).toEqual(['SELECT']);
      expect((await lab.row()).data).toEqual({ a: 0 });
      await lab.act(client, change(new ConflictException()));
      expect((await lab.row()).data).toEqual({ a: 'ConflictException' });
    });
  });

  describe('operations that nobody awaits', () => {
    it('[answer: call order] run in call order, and the response waits for all of them', async () => {
      const client = await lab.visitor({ log: [] });
      lab.proxy.beforeStatement = async (sql) => {
        if (sql.startsWith('UPDATE')) await new Promise((resolve) => setTimeout(resolve, 5));
      };
      await lab.value(client, (session) => {
        for (let entry = 0; entry < 8; entry++) void session.append('log', entry);
        void session.take('log');
        void session.setIfAbsent('log', ['again']);
        void session.append('log', 'last');
      });
      expect((await lab.row()).data).toEqual({ log: ['again', 'last'] });
    });

    it('[answer: call order] keep their place among plain writes', async () => {
      const client = await lab.visitor({ n: 1, list: ['a'] });
      const numbers = lab.value(client, async (session) => {
        session.set('n', 10);
        void session.save();
        const incremented = session.increment('n');
        session.set('n', 100);
        const again = session.increment('n');
        session.set('n', 5);
        session.set('list', ['new']);
        return Promise.all([incremented, again]);
      });
      expect(await numbers).toEqual([11, 101]);
      expect((await lab.row()).data).toEqual({ n: 5, list: ['new'] });
    });

    it('[answer: call order] fail a response below 400 when one is rejected', async () => {
      const client = await lab.visitor({ text: 'no number' });
      const unawaited = await lab.act(client, (session) => {
        session.increment('text').catch(() => undefined);
        void session.append('log', 1);
        session.set('plain', 1);
        return 'done';
      });
      expect(outcomeOf(unawaited)).toEqual(REFUSED_VALUE);
      // What is immediate stays; what was to be saved at the edge is not.
      expect((await lab.row()).data).toEqual({ text: 'no number', log: [1] });
    });

    it('[answer: call order] leave a response of 400 and above as it is', async () => {
      const client = await lab.visitor({ text: 'no number' });
      const reply = await lab.act(client, (session) => {
        session.increment('text').catch(() => undefined);
        session.set('plain', 1);
        throw new NotFoundException();
      });
      expect(reply.status).toBe(404);
      expect((await lab.row()).data).toEqual({ text: 'no number', plain: 1 });
    });

    it('[answer: call order] a regeneration carries what was changed before it, and the edge saves what came after', async () => {
      const client = await lab.visitor({ a: 1 });
      const old = client.cookie;
      const verbs = await lab.verbsOf(client, (session) => {
        session.set('before', 1);
        void session.regenerate();
        session.set('after', 2);
      });
      expect(verbs).toEqual(['SELECT', 'UPDATE', 'UPDATE']);
      expect(client.cookie).not.toBe(old);
      expect(await lab.data(client)).toEqual({ a: 1, before: 1, after: 2 });
    });

    it('[answer: call order] a sign-in drops what was set before it, and nothing that was set after', async () => {
      const client = await lab.visitor({ a: 1, cart: ['tea'] });
      await lab.value(client, (session) => {
        session.set('planted', 1);
        session.set('cart', ['tea', 'pot']);
        void session.login('ann', { keep: ['cart'] });
        session.set('after', 2);
        session.set('cart', ['pot']);
      });
      expect(await lab.data(client)).toEqual({ cart: ['pot'], after: 2 });
      await lab.value(client, (session) => {
        void session.save();
        void session.login('bea');
        session.set('after', 3);
      });
      expect(await lab.data(client)).toEqual({ after: 3 });
    });
  });

  describe('destroy, then set', () => {
    const signOut = async (session: Session) => {
      const { id } = session;
      session.set('unsaved', 1);
      await session.destroy();
      expect([session.keys(), session.userId, session.expiresAt]).toEqual([[], undefined, undefined]);
      session.set('notice', 'signed out');
      return [id, session.id];
    };

    it('[answer: destroy then set] starts a new anonymous session with a new token', async () => {
      const client = await lab.visitor({ a: 1 });
      await lab.value(client, (session) => session.login('ann', { keep: ['a'] }));
      const old = client.cookie;
      const reply = await lab.act(client, signOut);
      const [oldId, newId] = reply.body.value;
      expect(reply.setCookies).toHaveLength(1);
      expect(client.cookie).toMatch(/^sid=.{43}$/);
      expect(client.cookie).not.toBe(old);
      expect(await lab.row()).toMatchObject({ id: newId, user_id: null, data: { notice: 'signed out' }, version: 1 });
      expect(newId).not.toBe(oldId);
      const late = lab.client();
      late.cookie = old;
      expect(await lab.value(late, (session) => session.isNew)).toBe(true);
    });

    it('[answer: destroy then set] the last state decides about the one Set-Cookie', async () => {
      const client = await lab.visitor({ a: 1 });
      const reply = await lab.act(client, async (session) => {
        await session.destroy();
        await session.increment('n');
        await session.regenerate();
        await session.destroy();
      });
      expect(reply.setCookies).toEqual([expect.stringMatching(/^sid=;.*Max-Age=0/)]);
      expect(await lab.rows()).toEqual([]);
      const again = await lab.act(lab.client(), async (session) => {
        await session.increment('n');
        await session.destroy();
        session.flash('notice', 'bye');
      });
      expect(again.setCookies).toEqual([expect.stringMatching(/^sid=.{43};/)]);
      expect((await lab.row()).data).toEqual({ $flash: { notice: ['bye'] } });
    });

    it('[answer: destroy then set] works where nobody awaits the destroy', async () => {
      const client = await lab.visitor({ a: 1, b: 1 });
      const { id } = await lab.row();
      await lab.value(client, (session) => {
        session.set('b', 2);
        void session.increment('a');
        void session.destroy();
        session.set('notice', 'signed out');
      });
      const row = await lab.row();
      expect(row.data).toEqual({ notice: 'signed out' });
      expect(row.id).not.toBe(id);
      expect(await lab.data(client)).toEqual({ notice: 'signed out' });
    });
  });

  describe('flash', () => {
    it('[answer: flash] is shown once, after the redirect', async () => {
      const client = lab.client();
      const redirect = await lab.act(
        client,
        (session) => {
          session.flash('notice', 'saved');
          session.flash('notice', { item: 2 });
          session.flash('error', 'but');
        },
        { door: 'redirect' },
      );
      expect([redirect.status, redirect.headers.get('location')]).toEqual([303, '/elsewhere']);
      const read = (session: Session) => session.flash('notice');
      expect(await lab.value(lab.at(client, 1), read)).toEqual(['saved', { item: 2 }]);
      expect(await lab.value(lab.at(client, 0), read)).toEqual([]);
      expect(await lab.value(client, (session) => session.flash('error'))).toEqual(['but']);
      expect((await lab.row()).data).toEqual({});
      expect(await lab.verbsOf(client, read)).toEqual(['SELECT']);
    });

    it('[answer: flash] stays where the page that showed it failed', async () => {
      const client = lab.client();
      await lab.value(client, (session) => session.flash('notice', 'saved'));
      await lab.act(client, (session) => {
        session.flash('notice');
        throw new InternalServerErrorException();
      });
      expect(await lab.value(client, (session) => session.flash('notice'))).toEqual(['saved']);
    });

    it('[answer: flash] lies under a reserved key, which nobody else sees or sets', async () => {
      const client = await lab.visitor({ a: 1 });
      const seen = await lab.value(client, (session) => {
        session.flash('notice', 'x');
        return [session.keys(), session.entries(), session.has('$flash'), session.get('$flash', 'nothing') as unknown];
      });
      expect(seen).toEqual([['a'], [['a', 1]], false, 'nothing']);
      for (const key of ['$flash', '$other', '$']) {
        const writes: ((session: Session) => unknown)[] = [
          (session) => session.set(key, 1),
          (session) => session.increment(key),
          (session) => session.append(key, 1),
          (session) => session.setIfAbsent(key, 1),
          (session) => session.take(key),
          (session) => session.update(key, () => 1),
        ];
        for (const write of writes) expect(outcomeOf(await lab.act(client, write))).toEqual([500, 'SESSION_KEY']);
      }
      await lab.value(client, (session) => session.delete('$flash'));
      expect(await lab.value(client, (session) => session.flash('notice'))).toEqual(['x']);
    });

    it.each(['toString', 'valueOf', 'a.b'])('[answer: flash] has a kind %s as any other', async (kind) => {
      const client = lab.client();
      expect(await lab.value(client, (session) => session.flash(kind))).toEqual([]);
      await lab.value(client, (session) => session.flash(kind, 'x'));
      expect(await lab.value(client, (session) => session.flash(kind))).toEqual(['x']);
      expect(await lab.value(client, (session) => session.flash(kind))).toEqual([]);
    });
  });
});
