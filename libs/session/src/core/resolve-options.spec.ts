import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { SessionConfigError } from './errors.js';
import type { SessionOptions } from './options.js';
import { lifetimeOf, resolveOptions, touchAfterOf } from './resolve-options.js';
import type { LoginOptions } from './session.js';

const SECRET = 'correct horse battery staple 0123456789';
const OTHER_SECRET = 'another horse battery staple 9876543210';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const polluted = Object.prototype as unknown as Record<string, unknown>;

function messageOf(options: unknown): string {
  try {
    resolveOptions(options as SessionOptions, {});
  } catch (error) {
    expect(error).toBeInstanceOf(SessionConfigError);
    return (error as Error).message;
  }
  throw new Error('the options were accepted');
}

describe('resolveOptions', () => {
  it('fills in the defaults', () => {
    const resolved = resolveOptions(undefined, {});

    expect(resolved).toEqual({
      cookie: { name: 'sid', domain: undefined, path: '/', sameSite: 'lax', secure: false, partitioned: false },
      lifetime: { idleTimeout: DAY, absoluteTimeout: 14 * DAY, persistent: true },
      maxAbsoluteTimeout: 400 * DAY,
      touchAfter: undefined,
      deadline: 2_000,
      maxBytes: 65_536,
      maxDepth: 16,
      maxKeys: 256,
      preparedStatements: false,
      cleanup: { interval: 10 * MINUTE, batchSize: 1_000 },
      cache: undefined,
      schema: undefined,
      onEvent: undefined,
    });
    expect(resolved.secrets).toEqual([]);
  });

  it('makes the cookie secure in production alone', () => {
    expect(resolveOptions({}, { NODE_ENV: 'production' }).cookie).toMatchObject({ name: '__Host-sid', secure: true });
    expect(resolveOptions({}, { NODE_ENV: 'Production' }).cookie.secure).toBe(false);
    expect(resolveOptions({}, { NODE_ENV: 'test' }).cookie.secure).toBe(false);
  });

  it('asks the environment of the process unless told otherwise', () => {
    expect(resolveOptions().cookie.secure).toBe(process.env.NODE_ENV === 'production');
  });

  it('takes what it is given', () => {
    class Shop {}
    const onEvent = () => undefined;
    const resolved = resolveOptions(
      {
        secrets: [SECRET, OTHER_SECRET],
        cookie: { name: '__Secure-shop', domain: 'example.com', path: '/shop', sameSite: 'strict', secure: true },
        idleTimeout: '30m',
        absoluteTimeout: '12h',
        maxAbsoluteTimeout: '30d',
        persistent: false,
        touchAfter: '2m',
        deadline: 500,
        maxBytes: 1_024,
        maxDepth: 4,
        maxKeys: 10,
        cleanup: { interval: '1h', batchSize: 50 },
        schema: Shop,
        onEvent,
      },
      {},
    );

    expect(resolved).toMatchObject({
      cookie: { name: '__Secure-shop', domain: 'example.com', path: '/shop', sameSite: 'strict', secure: true },
      lifetime: { idleTimeout: 30 * MINUTE, absoluteTimeout: 12 * HOUR, persistent: false },
      maxAbsoluteTimeout: 30 * DAY,
      touchAfter: 2 * MINUTE,
      deadline: 500,
      maxBytes: 1_024,
      maxDepth: 4,
      maxKeys: 10,
      cleanup: { interval: HOUR, batchSize: 50 },
      schema: Shop,
      onEvent,
    });
    expect(resolved.secrets).toEqual([SECRET, OTHER_SECRET]);
  });

  it('takes undefined as absent, at every level', () => {
    const options = {
      secrets: undefined,
      cookie: { name: undefined, secure: undefined },
      idleTimeout: undefined,
      cleanup: { interval: undefined },
    };

    expect(resolveOptions(options, {})).toEqual(resolveOptions({}, {}));
  });

  it('switches the clean-up off', () => {
    expect(resolveOptions({ cleanup: false }, {}).cleanup).toBeUndefined();
  });

  it('keeps the defaults of a clean-up that is given in part', () => {
    expect(resolveOptions({ cleanup: { batchSize: 1 } }, {}).cleanup).toEqual({ interval: 10 * MINUTE, batchSize: 1 });
  });

  it('has a cache where it is asked for, and keeps the defaults of one that is given in part', () => {
    const defaults = { maxSessions: 10_000, maxBytes: 67_108_864, maxAge: 2_000 };
    expect(resolveOptions({ cache: {} }, {}).cache).toEqual(defaults);
    expect(resolveOptions({ cache: { maxAge: '500ms' } }, {}).cache).toEqual({ ...defaults, maxAge: 500 });
    expect(resolveOptions({ cache: false }, {}).cache).toBeUndefined();
  });

  it('cannot be changed, at any level', () => {
    const resolved = resolveOptions({ secrets: [SECRET], cache: {} }, {});
    const parts = [resolved, resolved.secrets, resolved.cookie, resolved.lifetime, resolved.cleanup, resolved.cache];

    expect(parts.every((part) => Object.isFrozen(part))).toBe(true);
  });

  it('does not freeze or keep what the application owns', () => {
    class Shop {}
    const options = { secrets: [SECRET], cookie: { name: 'a' }, schema: Shop };
    const resolved = resolveOptions(options, {});
    options.secrets.push('later');
    options.cookie.name = 'later';

    expect(resolved.secrets).toEqual([SECRET]);
    expect(resolved.cookie.name).toBe('a');
    expect(Object.isFrozen(Shop)).toBe(false);
  });

  it('takes frozen options', () => {
    const options = Object.freeze({ cookie: Object.freeze({ name: 'a' }), secrets: Object.freeze([SECRET]) });

    expect(resolveOptions(options, {}).cookie.name).toBe('a');
  });

  describe('under a polluted Object.prototype', () => {
    afterEach(() => {
      for (const key of ['secure', 'sameSite', 'secrets', 'idleTimeout', 'touchAfter', 'schema', 'batchSize']) {
        delete polluted[key];
      }
    });

    it('keeps its defaults', () => {
      Object.assign(polluted, {
        secure: false,
        sameSite: 'none',
        secrets: ['planted'],
        idleTimeout: '3650d',
        touchAfter: 1,
        schema: class {},
        batchSize: 7,
      });
      const resolved = resolveOptions({ cookie: {}, cleanup: {} }, { NODE_ENV: 'production' });

      expect(resolved.cookie).toMatchObject({ secure: true, sameSite: 'lax' });
      expect(resolved.secrets).toEqual([]);
      expect(resolved.lifetime.idleTimeout).toBe(DAY);
      expect(resolved.touchAfter).toBeUndefined();
      expect(resolved.schema).toBeUndefined();
      expect(resolved.cleanup?.batchSize).toBe(1_000);
    });
  });

  it.each<[string, unknown, string]>([
    ['null', null, 'SessionModule is null. Give an object.'],
    ['a text', SECRET.slice(0, 3), 'Give an object'],
    ['an array', [], 'Give an object'],
    ['an unknown key', { sameSIte: 'lax' }, 'SessionModule has no option "sameSIte"'],
    ['a misspelt key', { secret: [SECRET] }, 'Did you mean "secrets"?'],
    ['another misspelt key', { idleTimout: '1h' }, 'Did you mean "idleTimeout"?'],
    ['a static option that nobody took out', { guardAll: true }, 'SessionModule has no option "guardAll"'],
    ['an unknown key of the cookie', { cookie: { nam: 'a' } }, 'Did you mean "name"?'],
    ['an unknown key of the clean-up', { cleanup: { batch: 1 } }, 'cleanup has no option "batch"'],
    ['a cookie of null', { cookie: null }, 'cookie is null'],
    ['a clean-up of null', { cleanup: null }, 'cleanup is null'],
    ['a clean-up of true', { cleanup: true }, 'cleanup is true'],

    ['idle of null', { idleTimeout: null }, 'idleTimeout is null'],
    ['idle of 0', { idleTimeout: 0 }, 'idleTimeout is 0'],
    ['idle of -1', { idleTimeout: -1 }, 'idleTimeout is -1'],
    ['idle of 1.5', { idleTimeout: 1.5 }, 'idleTimeout is 1.5'],
    ['idle of NaN', { idleTimeout: Number.NaN }, 'idleTimeout is NaN'],
    ['idle of Infinity', { idleTimeout: Number.POSITIVE_INFINITY }, 'idleTimeout is Infinity'],
    ['idle without a unit', { idleTimeout: '30' }, 'idleTimeout is "30"'],
    ['idle below 100 ms', { idleTimeout: 99 }, 'Give at least "100ms" and at most "3650d"'],
    ['absolute of null', { absoluteTimeout: null }, 'absoluteTimeout is null'],
    ['absolute beyond 10 years', { absoluteTimeout: '3651d' }, 'at most "3650d"'],
    ['absolute of 1e21', { absoluteTimeout: 1e21 }, 'absoluteTimeout is 1e+21'],
    ['absolute of 8.64e15 + 1', { absoluteTimeout: 8.64e15 + 1 }, 'absoluteTimeout is'],
    ['a maximum of null', { maxAbsoluteTimeout: null }, 'maxAbsoluteTimeout is null'],
    ['a maximum beyond 10 years', { maxAbsoluteTimeout: '9999d' }, 'at most "3650d"'],
    ['touchAfter of null', { touchAfter: null }, 'touchAfter is null'],
    ['touchAfter of 0', { touchAfter: 0 }, 'touchAfter is 0'],
    ['a deadline of null', { deadline: null }, 'deadline is null'],
    ['a deadline below 10 ms', { deadline: 9 }, 'Give at least "10ms" and at most "60s"'],
    ['a deadline above 60 s', { deadline: '61s' }, 'Give at least "10ms" and at most "60s"'],
    ['an interval below 1 s', { cleanup: { interval: 1 } }, 'cleanup.interval is 1. Give at least "1s"'],
    ['an interval of 0', { cleanup: { interval: 0 } }, 'cleanup.interval is 0'],
    ['an interval of NaN', { cleanup: { interval: Number.NaN } }, 'cleanup.interval is NaN'],
    ['an interval of 2^31 ms', { cleanup: { interval: 2 ** 31 } }, 'at most 2147483647'],
    ['an interval of 30 days', { cleanup: { interval: '30d' } }, 'at most 2147483647'],
    ['a batch of 0', { cleanup: { batchSize: 0 } }, 'cleanup.batchSize is 0'],
    ['a batch of a billion', { cleanup: { batchSize: 1e9 } }, 'cleanup.batchSize is 1000000000'],
    ['a cache of true', { cache: true }, 'cache is true'],
    ['an unknown key of the cache', { cache: { maxSize: 1 } }, 'cache has no option "maxSize"'],
    ['a cache of no session', { cache: { maxSessions: 0 } }, 'cache.maxSessions is 0'],
    ['a cache of no size', { cache: { maxBytes: 1 } }, 'cache.maxBytes is 1'],
    [
      'a cache that is too late',
      { cache: { maxAge: '3s' } },
      'cache.maxAge is "3s". Give at least "10ms" and at most "2s"',
    ],
    ['a batch with SQL', { cleanup: { batchSize: '500; DROP' } }, 'cleanup.batchSize is "500; DROP"'],
    ['0 bytes', { maxBytes: 0 }, 'maxBytes is 0. Give a whole number from 256 to 16777216.'],
    ['255 bytes', { maxBytes: 255 }, 'maxBytes is 255'],
    ['17 MiB', { maxBytes: 17 * 2 ** 20 }, 'maxBytes is 17825792'],
    ['bytes as text', { maxBytes: '64kb' }, 'maxBytes is "64kb"'],
    ['a depth of 0', { maxDepth: 0 }, 'maxDepth is 0'],
    ['a depth of 31', { maxDepth: 31 }, 'maxDepth is 31. Give a whole number from 1 to 30.'],
    ['no keys', { maxKeys: 0 }, 'maxKeys is 0'],
    ['a word for true', { preparedStatements: 'yes' }, 'preparedStatements is "yes"'],
    ['too many keys', { maxKeys: 10_001 }, 'maxKeys is 10001. Give a whole number from 1 to 10000.'],
    ['persistent of null', { persistent: null }, 'persistent is null'],
    ['persistent as text', { persistent: 'yes' }, 'persistent is "yes"'],
    ['a schema of null', { schema: null }, 'schema is null'],
    ['a schema that is an object', { schema: {} }, 'schema is an object. Give a class'],
    ['a schema that cannot be constructed', { schema: () => ({}) }, 'schema is a function. Give a class'],
    ['a listener that is no function', { onEvent: 'log' }, 'onEvent is "log". Give a function.'],
    ['a listener of null', { onEvent: null }, 'onEvent is null'],
  ])('refuses %s', (_, options, message) => {
    expect(messageOf(options)).toContain(message);
  });

  it.each<[SessionOptions]>([
    [{ idleTimeout: 100, absoluteTimeout: 100 }],
    [{ absoluteTimeout: '3650d' }],
    [{ deadline: '10ms' }],
    [{ deadline: '60s' }],
    [{ cleanup: { interval: '1s' } }],
    [{ cleanup: { interval: 2 ** 31 - 1 } }],
    [{ cleanup: { batchSize: 100_000 } }],
    [{ maxBytes: 256 }],
    [{ maxBytes: 16 * 2 ** 20 }],
    [{ maxDepth: 1 }],
    [{ maxDepth: 30 }],
    [{ maxKeys: 1 }],
    [{ maxKeys: 10_000 }],
  ])('accepts the limit itself: %j', (options) => {
    expect(() => resolveOptions(options, {})).not.toThrow();
  });

  describe('with lifetimes that depend on each other', () => {
    it('refuses an idle timeout above the absolute one', () => {
      expect(messageOf({ idleTimeout: '2h', absoluteTimeout: '1h' })).toBe(
        'idleTimeout is "2h", but it must not be longer than absoluteTimeout, which is "1h".',
      );
      expect(messageOf({ idleTimeout: '15d' })).toContain('absoluteTimeout, which is "14d"');
      expect(() => resolveOptions({ idleTimeout: '1h', absoluteTimeout: '1h' }, {})).not.toThrow();
    });

    it('shortens the default idle timeout to a shorter absolute one', () => {
      expect(resolveOptions({ absoluteTimeout: '12h' }, {}).lifetime).toMatchObject({
        idleTimeout: 12 * HOUR,
        absoluteTimeout: 12 * HOUR,
      });
    });

    it('refuses a maximum below the absolute timeout', () => {
      expect(messageOf({ absoluteTimeout: '30d', maxAbsoluteTimeout: '7d' })).toBe(
        'maxAbsoluteTimeout is "7d", but it must not be shorter than absoluteTimeout, which is "30d".',
      );
      expect(messageOf({ maxAbsoluteTimeout: '13d' })).toContain('absoluteTimeout, which is "14d"');
    });

    it('raises the default maximum to a longer absolute timeout', () => {
      expect(resolveOptions({ absoluteTimeout: '500d' }, {}).maxAbsoluteTimeout).toBe(500 * DAY);
      expect(resolveOptions({ absoluteTimeout: '30d' }, {}).maxAbsoluteTimeout).toBe(400 * DAY);
    });

    it('refuses a touchAfter that would never come in time', () => {
      expect(messageOf({ idleTimeout: '5m', touchAfter: '5m' })).toBe(
        'touchAfter is "5m", but it must be shorter than idleTimeout, which is "5m".',
      );
      expect(messageOf({ touchAfter: '2d' })).toContain('must be shorter than idleTimeout');
      expect(messageOf({ absoluteTimeout: '1h', touchAfter: '2h' })).toContain('which is 3600000');
      expect(() => resolveOptions({ idleTimeout: '5m', touchAfter: '299s' }, {})).not.toThrow();
    });
  });

  describe('with secrets', () => {
    it.each<[string, unknown, string]>([
      ['none', [], 'secrets must be an array of at least one secret'],
      ['null', null, 'secrets must be an array'],
      ['a text', SECRET, 'secrets must be an array'],
      ['an object', { 0: SECRET, length: 1 }, 'secrets must be an array'],
      ['an environment variable that is not set', [undefined], 'secrets[0] is undefined. Is its environment variable'],
      ['a second one that is not set', [SECRET, undefined], 'secrets[1] is undefined'],
      ['a hole', [SECRET, , OTHER_SECRET], 'secrets[1] is undefined'],
      ['null in the array', [null], 'secrets[0] is not a string'],
      ['a Buffer', [Buffer.from(SECRET)], 'secrets[0] is not a string'],
      ['a number', [12_345], 'secrets[0] is not a string'],
      ['an array in the array', [[SECRET]], 'secrets[0] is not a string'],
      ['an empty text', [''], 'secrets[0] is empty or blank'],
      ['blanks', [' '.repeat(40)], 'secrets[0] is empty or blank'],
      ['blanks of all kinds', [' \t\n\u00a0'.repeat(20)], 'secrets[0] is empty or blank'],
      ['one character', ['x'.repeat(64)], 'secrets[0] is one character, repeated'],
      ['one character and blanks', [` ${'x'.repeat(64)}\n`], 'secrets[0] is one character, repeated'],
      ['one character beyond the BMP', ['🍪'.repeat(32)], 'secrets[0] is one character, repeated'],
      ['31 bytes', [SECRET.slice(0, 31)], 'secrets[0] is shorter than 32 bytes'],
      ['a short one behind a good one', [SECRET, 'short'], 'secrets[1] is shorter than 32 bytes'],
    ])('refuses %s', (_, secrets, message) => {
      expect(messageOf({ secrets })).toContain(message);
    });

    it('accepts 32 bytes', () => {
      expect(resolveOptions({ secrets: [SECRET.slice(0, 32)] }, {}).secrets).toEqual([SECRET.slice(0, 32)]);
    });

    it('counts bytes, not characters', () => {
      expect(resolveOptions({ secrets: ['äöüßÄÖÜéèêàâçñ€€'] }, {}).secrets).toHaveLength(1);
    });

    it('never shows a secret in an error', () => {
      const secret = 'canary-'.repeat(4);
      const mistakes = [
        { secrets: [secret] },
        { secrets: secret },
        { secrets: [SECRET, [secret]] },
        { secrets: { secret } },
        { secret },
        { cookie: { secrets: [secret] } },
      ];

      expect(mistakes.map(messageOf).join('\n')).not.toContain('canary');
    });

    it('shows no secret however the options are printed or copied', () => {
      const resolved = resolveOptions({ secrets: [SECRET] }, {});
      const printed = [
        inspect(resolved),
        inspect(resolved, { showHidden: true, depth: null }),
        inspect({ module: [resolved] }, { showHidden: true, depth: null, customInspect: false }),
        JSON.stringify(resolved),
        JSON.stringify({ ...resolved }),
        String(resolved),
        Object.entries(resolved).flat().map(String).join(),
      ];

      expect(printed.join('\n')).not.toContain(SECRET);
      expect(Object.keys(resolved)).not.toContain('secrets');
      expect(resolved.secrets).toEqual([SECRET]);
    });
  });
});

describe('touchAfterOf', () => {
  const byDefault = resolveOptions({}, {});
  const explicit = resolveOptions({ touchAfter: '10m' }, {});

  it.each([
    [DAY, 72 * MINUTE],
    [HOUR, 3 * MINUTE],
    [20 * MINUTE, MINUTE],
    [10 * MINUTE, MINUTE],
    [MINUTE + 1, MINUTE],
    [MINUTE, MINUTE / 2],
    [1_000, 500],
    [101, 50],
  ])('is for an idle timeout of %p ms by default %p ms', (idleTimeout, touchAfter) => {
    expect(touchAfterOf(byDefault, idleTimeout)).toBe(touchAfter);
  });

  it.each([
    [DAY, 10 * MINUTE],
    [11 * MINUTE, 10 * MINUTE],
    [10 * MINUTE, 5 * MINUTE],
    [MINUTE, MINUTE / 2],
  ])('is for an idle timeout of %p ms what was asked for, or half of it: %p ms', (idleTimeout, touchAfter) => {
    expect(touchAfterOf(explicit, idleTimeout)).toBe(touchAfter);
  });

  it('is always a whole number below the idle timeout', () => {
    for (let idleTimeout = 100; idleTimeout < DAY; idleTimeout = Math.ceil(idleTimeout * 1.37)) {
      for (const options of [byDefault, explicit]) {
        const touchAfter = touchAfterOf(options, idleTimeout);
        expect(Number.isInteger(touchAfter)).toBe(true);
        expect(touchAfter).toBeGreaterThan(0);
        expect(touchAfter).toBeLessThan(idleTimeout);
      }
    }
  });
});

describe('lifetimeOf', () => {
  const options = resolveOptions({ idleTimeout: '1h', absoluteTimeout: '12h', maxAbsoluteTimeout: '90d' }, {});

  it('is the lifetime of the module where nothing is asked for', () => {
    expect(lifetimeOf(options, {})).toEqual({ idleTimeout: HOUR, absoluteTimeout: 12 * HOUR, persistent: true });
    expect(lifetimeOf(options, { idleTimeout: undefined })).toEqual(lifetimeOf(options, {}));
  });

  it('is what a sign-in asks for', () => {
    expect(lifetimeOf(options, { idleTimeout: '14d', absoluteTimeout: '30d', persistent: false })).toEqual({
      idleTimeout: 14 * DAY,
      absoluteTimeout: 30 * DAY,
      persistent: false,
    });
  });

  it('is never longer than maxAbsoluteTimeout', () => {
    expect(lifetimeOf(options, { idleTimeout: '365d', absoluteTimeout: '365d' })).toMatchObject({
      idleTimeout: 90 * DAY,
      absoluteTimeout: 90 * DAY,
    });
  });

  it('is never idle longer than it lasts', () => {
    expect(lifetimeOf(options, { absoluteTimeout: '10m' })).toMatchObject({
      idleTimeout: 10 * MINUTE,
      absoluteTimeout: 10 * MINUTE,
    });
    expect(lifetimeOf(options, { idleTimeout: '30d' }).idleTimeout).toBe(12 * HOUR);
  });

  it.each<[object, string]>([
    [{ idleTimeout: null }, 'idleTimeout of login() is null'],
    [{ idleTimeout: '1 hour' }, 'idleTimeout of login() is "1 hour"'],
    [{ idleTimeout: 1 }, 'idleTimeout of login() is 1'],
    [{ absoluteTimeout: -1 }, 'absoluteTimeout of login() is -1'],
    [{ absoluteTimeout: '99999d' }, 'absoluteTimeout of login() is "99999d"'],
    [{ persistent: 'on' }, 'persistent of login() is "on"'],
    [{ persistent: null }, 'persistent of login() is null'],
  ])('refuses %j', (login, message) => {
    expect(() => lifetimeOf(options, login as LoginOptions)).toThrow(SessionConfigError);
    expect(() => lifetimeOf(options, login as LoginOptions)).toThrow(message);
  });
});
