import { describe, expect, it } from '@jest/globals';
import type { Session } from 'nestjs-typeorm-session';
import { PLATFORMS } from '../support/app.js';
import { outcomeOf, REFUSED_VALUE, useLab } from '../support/lab.js';

const MAX_BYTES = 1_000;
const MAX_KEYS = 5;
const MAX_DEPTH = 3;

/** A text that makes `{"<key>":"<text>"}` exactly so many bytes. */
const filler = (key: string, bytes: number, character = 'x') => {
  const room = bytes - Buffer.byteLength(JSON.stringify({ [key]: '' }));
  return character.repeat(room / Buffer.byteLength(character));
};

const nested = (depth: number): unknown => (depth === 0 ? 'core' : [nested(depth - 1)]);

describe.each(PLATFORMS)('limits of a session on %s', (platform) => {
  const limits = { maxBytes: MAX_BYTES, maxKeys: MAX_KEYS, maxDepth: MAX_DEPTH };
  const lab = useLab(platform, { session: limits });

  const expectRefused = async (client: ReturnType<typeof lab.client>, step: (session: Session) => unknown) => {
    const before = await lab.rows();
    const reply = await lab.act(client, (session) => step(session));
    expect([String(step), ...outcomeOf(reply)]).toEqual([String(step), ...REFUSED_VALUE]);
    expect(reply.setCookies).toEqual([]);
    expect(await lab.rows()).toEqual(before);
    return reply.body.message;
  };

  describe('maxBytes', () => {
    it.each(['x', 'é', '🫖'])('[line 2] counts UTF-8 of the JSON to the byte, of %s', async (character) => {
      // The key makes up for what a character of several bytes leaves over.
      const key = 'k'.repeat(1 + ((MAX_BYTES - 8) % Buffer.byteLength(character)));
      const fits = filler(key, MAX_BYTES, character);
      expect(Buffer.byteLength(JSON.stringify({ [key]: fits }))).toBe(MAX_BYTES);
      const client = lab.client();
      await lab.value(client, (session) => session.set(key, fits));
      expect(await lab.data(client)).toEqual({ [key]: fits });
      await expectRefused(client, (session) => session.set(key, `${fits}x`));
      expect(await expectRefused(lab.client(), (session) => session.set(key, `${fits}x`))).toContain(
        `${MAX_BYTES + 1} bytes of JSON`,
      );
    });

    it('[line 2] counts all keys together, the ones of earlier requests too, and lets go of what is deleted', async () => {
      const client = await lab.visitor({ a: filler('a', 500) });
      // `{"a":…}` and `{"b":…}` share their braces and gain a comma.
      const fits = filler('b', MAX_BYTES - 500 + 1);
      await expectRefused(client, (session) => session.set('b', `${fits}x`));
      await lab.value(client, (session) => session.set('b', fits));
      await expectRefused(client, (session) => session.set('c', 0));
      await lab.value(client, (session) => {
        session.delete('a');
        session.set('c', 0);
      });
      expect((await lab.row()).data).toEqual({ b: fits, c: 0 });
    });

    it('[line 2] names the sizes and never the value', async () => {
      const message = await expectRefused(lab.client(), (session) => session.set('secret', 'S3CRET'.repeat(300)));
      expect(message).toMatch(/\(maxBytes\)|larger than 1000 bytes/);
      expect(message).not.toContain('S3CRET');
    });

    it('[line 3] holds for atomic operations, on a session without a row too', async () => {
      const client = await lab.visitor({ list: [], text: filler('text', 800) });
      const big = 'x'.repeat(200);
      const steps: ((session: Session) => Promise<unknown>)[] = [
        (session) => session.append('list', big),
        (session) => session.setIfAbsent('new', big),
        (session) => session.update('list', () => [big]),
      ];
      for (const step of steps) await expectRefused(client, step);
      const half = 'x'.repeat(600);
      await expectRefused(lab.client(), (session) => {
        session.set('list', [half]);
        return session.append('list', half);
      });
      await expectRefused(lab.client(), (session) => session.setIfAbsent('key', 'x'.repeat(MAX_BYTES - 9)));
      await expectRefused(lab.client(), (session) => session.update('key', () => 'x'.repeat(MAX_BYTES - 9)));
      await lab.value(lab.client(), (session) => session.setIfAbsent('key', filler('key', MAX_BYTES)));
    });

    it('[line 3] counts what an atomic operation added for the plain writes of the same request', async () => {
      const client = await lab.visitor({ list: [] });
      const reply = await lab.act(client, async (session) => {
        await session.append('list', 'x'.repeat(600));
        session.set('text', 'x'.repeat(600));
      });
      expect(outcomeOf(reply)).toEqual(REFUSED_VALUE);
      expect(await lab.value(client, (session) => session.keys())).toEqual(['list']);
    });

    it('[line 3] lets a session that is too large shrink', async () => {
      const client = await lab.visitor({ n: 1, list: [] });
      // As after maxBytes was lowered.
      await lab.alter(`data = data || jsonb_build_object('big', repeat('x', 2000), 'other', 'y')`);
      await expectRefused(client, (session) => session.increment('n', 9));
      await expectRefused(client, (session) => session.append('list', 1));
      expect(await lab.value(client, (session) => session.increment('n', 1))).toBe(2);
      await lab.value(client, (session) => session.take('other'));
      await lab.value(client, (session) => session.update('list', () => undefined));
      await lab.value(client, (session) => session.update('big', () => 'small'));
      expect((await lab.row()).data).toEqual({ n: 2, big: 'small' });
    });
  });

  describe('maxKeys', () => {
    const keys = (count: number) => Array.from({ length: count }, (_, index) => `key${index}`);

    it('[line 2] takes as many as it says, and not one more', async () => {
      const client = await lab.visitor(Object.fromEntries(keys(MAX_KEYS).map((key) => [key, 1])));
      expect(await expectRefused(client, (session) => session.set('more', 1))).toContain('(maxKeys)');
      await lab.value(client, (session) => {
        session.delete('key0');
        session.set('more', 1);
        session.set('key1', 2);
      });
      expect((await lab.row()).data).toEqual({ key1: 2, key2: 1, key3: 1, key4: 1, more: 1 });
      await expectRefused(lab.client(), (session) => keys(MAX_KEYS + 1).forEach((key) => session.set(key, 1)));
    });

    it('[line 3] holds for atomic operations', async () => {
      const client = await lab.visitor(Object.fromEntries(keys(MAX_KEYS).map((key) => [key, 1])));
      const steps: ((session: Session) => Promise<unknown>)[] = [
        (session) => session.increment('more'),
        (session) => session.append('more', 1),
        (session) => session.setIfAbsent('more', 1),
        (session) => session.update('more', () => 1),
      ];
      for (const step of steps) expect(await expectRefused(client, step)).toContain('(maxKeys)');
      expect(await lab.value(client, (session) => session.increment('key0'))).toBe(2);
      expect(await lab.value(client, (session) => session.take('key0'))).toBe(2);
      expect(await lab.value(client, (session) => session.increment('more'))).toBe(1);
    });
  });

  it('[line 2] maxDepth counts the levels of a value, for every operation', async () => {
    const client = await lab.visitor({ list: [] });
    await lab.value(client, (session) => session.set('deep', nested(MAX_DEPTH)));
    expect((await lab.row()).data.deep).toEqual(nested(MAX_DEPTH));
    const tooDeep = nested(MAX_DEPTH + 1);
    const steps: ((session: Session) => unknown)[] = [
      (session) => session.set('deeper', tooDeep),
      (session) => (session.get('deep') as unknown[][][])[0]![0]!.push([]),
      (session) => session.append('list', nested(MAX_DEPTH)),
      (session) => session.setIfAbsent('deeper', tooDeep),
      (session) => session.update('list', () => tooDeep),
      (session) => session.flash('notice', nested(MAX_DEPTH - 1)),
    ];
    for (const step of steps) expect(await expectRefused(client, step)).toContain('nested deeper than 3 levels');
    expect(await lab.value(client, (session) => session.append('list', nested(MAX_DEPTH - 1)))).toBe(1);
  });

  it('[line 2] refuses keys that pollute, are empty, too long or unprintable', async () => {
    const keys = ['__proto__', 'constructor', 'prototype', '', 'x'.repeat(129), 'a\0b', 'a\nb', '\ud800', '$mine'];
    for (const key of keys) {
      for (const step of [
        (session: Session) => session.set(key, 1),
        (session: Session) => session.increment(key),
        (session: Session) => session.flash(key, 1),
      ]) {
        const reply = await lab.act(lab.client(), step);
        expect([key, ...outcomeOf(reply), ...reply.setCookies]).toEqual([key, 500, 'SESSION_KEY']);
      }
    }
    const nestedProto = JSON.parse('{"__proto__": {"isAdmin": true}}') as object;
    await expectRefused(lab.client(), (session) => session.set('nested', nestedProto));
    expect(await lab.rows()).toEqual([]);
  });

  describe('what SQL has put into a row', () => {
    const polluted = '{"__proto__": {"isAdmin": true}, "a": {"__proto__": {"isAdmin": true}, "b": 1}, "n": 1}';

    it('[line 2] never pollutes a prototype', async () => {
      const client = await lab.visitor();
      await lab.alter('data = $1::jsonb', [polluted]);
      const seen = await lab.value(client, async (session) => {
        const keys = session.keys();
        const objects: unknown[] = [session.get('a'), Object.fromEntries(session.entries())];
        await session.update('a', (a: object) => {
          objects.push(a, { ...a }, Object.assign({}, a), structuredClone(a));
          return a;
        });
        await lab.alter('data = $1::jsonb', [polluted]);
        objects.push(await session.take('a'));
        objects.push(Object.assign({}, objects.at(-1)));
        const admins = objects.filter((object) => (object as { isAdmin?: boolean }).isAdmin);
        return [keys, admins.length, session.get('isAdmin', 'no') as unknown, 'isAdmin' in {}];
      });
      expect(seen).toEqual([['a', 'n'], 0, 'no', false]);
      const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length'];
      const answers = await lab.value(client, (session) =>
        names.map((name) => [session.has(name), session.get(name, 'nothing') as unknown]),
      );
      expect(answers).toEqual(names.map(() => [false, 'nothing']));
      expect(await lab.value(client, (session) => session.increment('n'))).toBe(2);
    });

    it.each(['[]', '"x"', 'null', '1', 'true', '[{"isAdmin":true}]'])(
      '[line 2] %s reads as anonymous and is an event, and never a 500',
      async (json) => {
        const client = await lab.visitor();
        const { id } = await lab.row();
        await lab.alter('data = $1::jsonb', [json]);
        const reply = await lab.act(client, (session) => [
          session.isNew,
          session.keys(),
          session.userId ?? null,
          session.get('0', 'nothing') as unknown,
        ]);
        expect([reply.status, reply.body.value, reply.setCookies]).toEqual([200, [true, [], null, 'nothing'], []]);
        expect(lab.nodes[0].events).toEqual([{ type: 'unreadable', id }]);
        // The row stays for whoever looks into it, and a write starts anew.
        await lab.value(client, (session) => session.increment('n'));
        expect(await lab.data(client)).toEqual({ n: 1 });
        expect(await lab.database.query('SELECT data::text AS data FROM sessions WHERE id = $1', [id])).toEqual([
          { data: json.replace(':', ': ') },
        ]);
      },
    );

    it('[line 2] a value too deep to be written again is absent and an event, and never a 500', async () => {
      const client = await lab.visitor({ a: 1 });
      const { id } = await lab.row();
      await lab.alter('data = data || $1::jsonb', [`{"deep":${'['.repeat(6_000)}${']'.repeat(6_000)}}`]);
      for (let request = 1; request <= 2; request++) {
        const seen = await lab.value(client, (session) => [session.get('deep', 'absent'), session.get('a')]);
        expect(seen).toEqual(['absent', 1]);
        expect(lab.nodes[0].events).toEqual(Array(request).fill({ type: 'unreadable', id }));
      }
      await lab.value(client, (session) => session.set('deep', 1));
      expect(await lab.data(client)).toEqual({ a: 1, deep: 1 });
    });

    it('[line 2] of a row that became something else meanwhile nothing breaks', async () => {
      const client = await lab.visitor({ a: 1 });
      const reply = await lab.act(client, async (session) => {
        session.get('a');
        await lab.alter(`data = '{"$flash": 5, "a": "text"}'`);
        return session.increment('b');
      });
      expect(reply.body.value).toBe(1);
      expect((await lab.act(client, (session) => session.flash('notice'))).body.value).toEqual([]);
      await lab.value(client, (session) => session.flash('notice', 'x'));
      expect(await lab.value(client, (session) => session.flash('notice'))).toEqual(['x']);
    });
  });
});
