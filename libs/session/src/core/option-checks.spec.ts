import { afterEach, describe, expect, it } from '@jest/globals';
import { SessionConfigError } from './errors.js';
import { checkBoolean, checkDuration, checkInteger, checkOneOf, readOwn } from './option-checks.js';

const KNOWN = ['name', 'sameSite', 'maxBytes', 'idleTimeout'];

const polluted = Object.prototype as unknown as Record<string, unknown>;

describe('readOwn', () => {
  afterEach(() => {
    delete polluted.maxBytes;
  });

  it('copies the keys that are there and leaves out undefined ones', () => {
    expect({ ...readOwn({ name: 'sid', maxBytes: undefined }, 'cookie', KNOWN) }).toStrictEqual({ name: 'sid' });
  });

  it('takes nothing from a polluted Object.prototype', () => {
    polluted.maxBytes = 1;
    const own = readOwn({ name: 'sid' }, 'cookie', KNOWN);

    expect(Object.keys({ ...own })).toEqual(['name']);
    expect(own).not.toHaveProperty('maxBytes');
  });

  it('takes nothing that the object inherits', () => {
    const options = Object.create({ name: 'inherited', unknown: 1 }) as object;

    expect({ ...readOwn(options, 'cookie', KNOWN) }).toEqual({});
  });

  it('takes frozen objects and objects without a prototype', () => {
    const bare = Object.assign(Object.create(null) as object, { name: 'sid' });

    expect({ ...readOwn(Object.freeze({ name: 'sid' }), 'cookie', KNOWN) }).toEqual({ name: 'sid' });
    expect({ ...readOwn(bare, 'cookie', KNOWN) }).toEqual({ name: 'sid' });
  });

  it('reads a getter once', () => {
    let reads = 0;
    const options = {
      get name() {
        return `sid${++reads}`;
      },
    };

    expect({ ...readOwn(options, 'cookie', KNOWN) }).toEqual({ name: 'sid1' });
    expect(reads).toBe(1);
  });

  it.each([
    ['sameSIte', 'cookie has no option "sameSIte". Did you mean "sameSite"?'],
    ['samesite', 'cookie has no option "samesite". Did you mean "sameSite"?'],
    ['maxByte', 'cookie has no option "maxByte". Did you mean "maxBytes"?'],
    ['idelTimeout', 'cookie has no option "idelTimeout". Did you mean "idleTimeout"?'],
    ['nmae', 'cookie has no option "nmae". There are name, sameSite, maxBytes, idleTimeout.'],
    ['ttl', 'cookie has no option "ttl". There are name, sameSite, maxBytes, idleTimeout.'],
    ['', 'cookie has no option "". There are name, sameSite, maxBytes, idleTimeout.'],
    ['toString', 'cookie has no option "toString". There are name, sameSite, maxBytes, idleTimeout.'],
    ['maxAge', 'cookie has no option "maxAge". It is elsewhere.'],
  ])('refuses the unknown key %p', (key, message) => {
    const read = () => readOwn({ [key]: 1 }, 'cookie', KNOWN, { maxAge: 'It is elsewhere.' });

    expect(read).toThrow(SessionConfigError);
    expect(read).toThrow(message);
  });

  it('refuses an unknown key also where its value is undefined', () => {
    expect(() => readOwn({ sameSIte: undefined }, 'cookie', KNOWN)).toThrow('sameSIte');
  });

  it('refuses a __proto__ of its own', () => {
    expect(() => readOwn(JSON.parse('{"__proto__":{"name":"x"}}') as object, 'cookie', KNOWN)).toThrow('__proto__');
  });

  it.each([null, 1, 'text', true, [], () => 1])('refuses %p in the place of an object', (options) => {
    expect(() => readOwn(options as object, 'cookie', KNOWN)).toThrow(/^cookie is .*\. Give an object\.$/);
  });
});

describe('checkBoolean', () => {
  it.each([true, false])('accepts %p', (value) => {
    expect(checkBoolean(value, 'persistent')).toBe(value);
  });

  it.each([null, undefined, 0, 1, 'true', '', [], {}, Object(true)])('refuses %p', (value) => {
    expect(() => checkBoolean(value as boolean, 'persistent')).toThrow(/^persistent is .*\. Give true or false\.$/);
  });
});

describe('checkInteger', () => {
  it.each([1, 15, 30])('accepts %p', (value) => {
    expect(checkInteger(value, 'maxDepth', 1, 30)).toBe(value);
  });

  it.each([0, 31, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e9, '16', '500; DROP', null, undefined, [16], 16n])(
    'refuses %p',
    (value) => {
      expect(() => checkInteger(value as number, 'maxDepth', 1, 30)).toThrow(
        /^maxDepth is .*\. Give a whole number from 1 to 30\.$/,
      );
    },
  );
});

describe('checkOneOf', () => {
  it('accepts what is allowed', () => {
    expect(checkOneOf('lax', 'cookie.sameSite', ['lax', 'none'])).toBe('lax');
  });

  it.each(['Lax', 'bogus', '', true, null, ['lax']])('refuses %p', (value) => {
    expect(() => checkOneOf(value as string, 'cookie.sameSite', ['lax', 'none'])).toThrow('Give one of "lax", "none".');
  });
});

describe('checkDuration', () => {
  it.each([
    ['10ms', 10],
    [10, 10],
    ['60s', 60_000],
    ['1m', 60_000],
  ])('accepts %p', (value, milliseconds) => {
    expect(checkDuration(value, 'deadline', ['10ms', '60s'])).toBe(milliseconds);
  });

  it.each([9, '9ms', '61s', 60_001, '1d'])('refuses %p', (value) => {
    expect(() => checkDuration(value, 'deadline', ['10ms', '60s'])).toThrow('Give at least "10ms" and at most "60s".');
  });
});
