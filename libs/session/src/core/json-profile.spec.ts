import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { checkKey, JsonProfileError, parseData, propertyPath, serialize } from './json-profile.js';

const LIMITS = { maxDepth: 16, maxBytes: 65_536 };

const LONE_SURROGATE = '\ud800';

class Point {
  x = 1;
}

class Orphan {}
Object.setPrototypeOf(Orphan.prototype, null);

function nestedArrays(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

function nestedObjects(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = { a: value };
  return value;
}

function refusal(value: unknown, limits = LIMITS): JsonProfileError {
  try {
    serialize(value, '$.k', limits);
  } catch (error) {
    expect(error).toBeInstanceOf(JsonProfileError);
    return error as JsonProfileError;
  }
  throw new Error('the value was accepted');
}

describe('serialize', () => {
  it.each([
    ['text', 'cart'],
    ['empty text', ''],
    ['text that looks like a number', '123'],
    ['text that looks like a boolean', 'true'],
    ['text that looks like null', 'null'],
    ['text that looks like an object', '{"a":1}'],
    ['noncharacters', '\ufffe\uffff'],
    ['controls other than U+0000', '\u0001\u001b\u007f\u0085\r\n\t'],
    ['line separators', '\u2028\u2029'],
    ['emoji with joiners', '👩‍👩‍👧‍👦'],
    ['10 000 combining marks', `e${'\u0301'.repeat(10_000)}`],
    ['zero', 0],
    ['the largest exact integer', 2 ** 53 - 1],
    ['the smallest exact integer', -(2 ** 53 - 1)],
    ['the smallest number', 5e-324],
    ['a fraction', 0.1 + 0.2],
    ['true', true],
    ['false', false],
    ['null', null],
    ['an empty array', []],
    ['an empty object', {}],
    ['a mixed structure', { items: [{ id: 1, tags: ['a', null] }], total: 1.5, open: false }],
    ['a frozen object', Object.freeze({ a: Object.freeze([1]) })],
    ['an empty key', { '': 1 }],
    ['keys named like methods', { toString: 1, hasOwnProperty: 2, toJSON: 'x', then: 3, length: 4 }],
    ['constructor and prototype as words', { constructor: { prototype: { x: 1 } } }],
    ['keys that begin with $', { $where: 1 }],
    ['keys in both normal forms', { é: 1, 'e\u0301': 2 }],
    ['integer-like keys', { 1: 'b', 0: 'a', '-1': 'c' }],
  ])('keeps %s', (_, value) => {
    const text = serialize(value, '$.k', LIMITS);

    expect(text).toBe(JSON.stringify(value));
    expect(JSON.parse(text)).toEqual(value);
  });

  it('writes -0 as 0', () => {
    expect(serialize([-0], '$.k', LIMITS)).toBe('[0]');
  });

  it('leaves out properties that are undefined', () => {
    expect(serialize({ a: undefined, b: { c: undefined } }, '$.k', LIMITS)).toBe('{"b":{}}');
  });

  it('keeps an object without a prototype', () => {
    const value = Object.assign(Object.create(null) as object, { a: 1 });

    expect(serialize(value, '$.k', LIMITS)).toBe('{"a":1}');
  });

  it('keeps objects and arrays of another realm', () => {
    const value: unknown = runInNewContext('({ a: [1, { b: 2 }] })');

    expect(serialize(value, '$.k', LIMITS)).toBe('{"a":[1,{"b":2}]}');
  });

  it('writes an object that is met twice as two copies', () => {
    const shared = { a: 1 };

    expect(serialize([shared, shared], '$.k', LIMITS)).toBe('[{"a":1},{"a":1}]');
  });

  it('keeps what a well-behaved Proxy shows', () => {
    expect(serialize(new Proxy({ a: 1 }, {}), '$.k', LIMITS)).toBe('{"a":1}');
  });

  it('keeps 10 000 generated values of the profile', () => {
    const random = generator(20_260_101);
    for (let run = 0; run < 10_000; run++) {
      const value = randomValue(random, 6);
      const text = serialize(value, '$.k', LIMITS);
      expect(text).toBe(JSON.stringify(value));
      expect(JSON.parse(text)).toEqual(value);
    }
  });

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'undefined'],
    ['a function', () => 1, 'function'],
    ['a class', Point, 'function'],
    ['a symbol', Symbol('secret'), 'symbol'],
    ['a BigInt', 1n, 'BigInt'],
    ['NaN', Number.NaN, 'finite'],
    ['Infinity', Number.POSITIVE_INFINITY, 'finite'],
    ['-Infinity', Number.NEGATIVE_INFINITY, 'finite'],
    ['2^53', 2 ** 53, '2^53 - 1'],
    ['2^53 + 1', 2 ** 53 + 1, '2^53 - 1'],
    ['-(2^53)', -(2 ** 53), '2^53 - 1'],
    ['1e21', 1e21, '2^53 - 1'],
    ['1e308', 1e308, '2^53 - 1'],
    ['a Date', new Date(0), 'Date'],
    ['an invalid Date', new Date(Number.NaN), 'Date'],
    ['a Map', new Map([['a', 1]]), 'instance'],
    ['a Set', new Set([1]), 'instance'],
    ['a WeakMap', new WeakMap(), 'instance'],
    ['a RegExp', /x/, 'instance'],
    ['an Error', new Error('x'), 'instance'],
    ['a Buffer', Buffer.from('x'), 'instance'],
    ['a typed array', new Uint8Array(1), 'instance'],
    ['an ArrayBuffer', new ArrayBuffer(1), 'instance'],
    ['a Promise', Promise.resolve(1), 'instance'],
    ['a boxed number', Object(3), 'instance'],
    ['a boxed text', Object('x'), 'instance'],
    ['a boxed boolean', Object(true), 'instance'],
    ['a boxed BigInt', Object(1n), 'instance'],
    ['an instance of a class', new Point(), 'instance'],
    ['an instance of a class of another realm', runInNewContext('new (class Object { a = 1 })()'), 'instance'],
    ['an instance of a class that descends from nothing', new Orphan(), 'instance'],
    ['an object that inherits', Object.create({ a: 1 }), 'instance'],
    ['an object that inherits from nothing in between', Object.create(Object.create(null) as object), 'instance'],
    ['an instance of a subclass of Array', new (class extends Array {})(), 'subclass'],
    ['an array with another prototype', Object.setPrototypeOf([], null), 'subclass'],
    ['a sparse array', [1, , 3], 'holes'],
    ['an array that is nothing but holes', new Array(3), 'holes'],
    ['an array of 10 million holes', Object.assign([], { length: 1e7 }), 'larger'],
    ['an array with a property', Object.assign([1], { extra: 1 }), 'properties of its own'],
    ['an array with a hole and a property', Object.assign([1, , 3], { extra: 1 }), 'undefined'],
    ['the result of a match', /a/.exec('a'), 'properties of its own'],
    ['an array with a symbol', Object.assign([1], { [Symbol('s')]: 1 }), 'properties of its own'],
    ['undefined in an array', [undefined], 'undefined'],
    ['a symbol key', { [Symbol('s')]: 1 }, 'symbol'],
    ['a property that is not enumerable', Object.defineProperty({}, 'a', { value: 1 }), 'not enumerable'],
    ['an arguments object', argumentsOf(1, 2), 'symbol'],
    ['a namespace of a module', Object.assign(Object.create(null), { [Symbol.toStringTag]: 'Module' }), 'symbol'],
    ['a getter', Object.defineProperty({}, 'a', { get: () => 1, enumerable: true }), 'getter'],
    ['a getter in an array', Object.defineProperty([0], 0, { get: () => 1, enumerable: true }), 'getter'],
    ['toJSON', { toJSON: () => 'evil' }, 'function'],
    ['an own __proto__', JSON.parse('{"__proto__":{"isAdmin":true}}'), 'prototypes'],
    ['an own __proto__, deep', JSON.parse('{"a":[{"b":{"c":{"__proto__":1}}}]}'), 'prototypes'],
    ['U+0000', '\0', 'U+0000'],
    ['U+0000 inside', 'a\0b', 'U+0000'],
    ['U+0000 in a key', { 'a\0b': 1 }, 'U+0000'],
    ['half of a surrogate pair', LONE_SURROGATE, 'well-formed'],
    ['the other half', '\udc00', 'well-formed'],
    ['a pair in reverse', '\udc00\ud800', 'well-formed'],
    ['half of a surrogate pair in a key', { [LONE_SURROGATE]: 1 }, 'well-formed'],
  ])('refuses %s', (_, value, reason) => {
    expect(refusal(value).reason).toContain(reason);
    expect(refusal({ nested: [value, 1] })).toBeInstanceOf(JsonProfileError);
  });

  it('does not run a getter to find out', () => {
    let ran = false;
    const value = Object.defineProperty({}, 'a', { get: () => (ran = true), enumerable: true });

    expect(refusal(value).path).toBe('$.k.a');
    expect(ran).toBe(false);
  });

  it('names where, in keys and indices', () => {
    expect(refusal({ cart: [{ price: 1 }, { price: 2 }, { price: 1n }] }).path).toBe('$.k.cart[2].price');
    expect(refusal([1, [2, [undefined]]]).path).toBe('$.k[1][1][0]');
    expect(refusal({ first: [{ deep: 1 }], second: 1n }).path).toBe('$.k.second');
    expect(refusal({ 'a b': { "c'd": 1n } }).path).toBe(`$.k["a b"]["c'd"]`);
  });

  it('cuts long keys and escapes unprintable ones in its path', () => {
    const error = refusal({ ['x'.repeat(5_000)]: { 'a\n[INFO] login ok\u202e': 1n } });

    expect(error.path).toBe(`$.k["${'x'.repeat(64)}…"]["a\\u{a}[INFO] login ok\\u{202e}"]`);
  });

  it('never shows a value', () => {
    const errors = [refusal(['canary\0']), refusal(new Map([['canary', 'canary']])), refusal(Symbol('canary'))];

    expect(errors.map((error) => `${error.message}${JSON.stringify(error)}`).join()).not.toContain('canary');
  });

  describe('of nested values', () => {
    it.each([
      ['arrays', nestedArrays],
      ['objects', nestedObjects],
    ])('keeps maxDepth levels of %s and refuses one more', (_, nested) => {
      expect(serialize(nested(16), '$.k', LIMITS)).toBe(JSON.stringify(nested(16)));
      for (const levels of [17, 30, 31, 32, 33, 100, 1_000, 5_000, 50_000]) {
        expect(refusal(nested(levels)).reason).toContain('deeper than 16 levels');
      }
    });

    it('counts a primitive as no level and an empty array as one', () => {
      const flat = { maxDepth: 0, maxBytes: 100 };

      expect(serialize('x', '$.k', flat)).toBe('"x"');
      expect(refusal([], flat).reason).toContain('deeper than 0 levels');
      expect(serialize([], '$.k', { ...flat, maxDepth: 1 })).toBe('[]');
    });

    it('refuses cycles', () => {
      const object: Record<string, unknown> = {};
      object.self = object;
      const array: unknown[] = [];
      array.push([array]);

      expect(refusal(object).reason).toContain('contains itself');
      expect(refusal(array).reason).toContain('contains itself');
    });

    it('gives up a cycle that branches before it unfolds', () => {
      const object: Record<string, unknown> = {};
      for (let index = 0; index < 1_000; index++) object[`k${index}`] = object;

      expect(refusal(object, { maxDepth: 30, maxBytes: 65_536 }).reason).toMatch(/larger|deeper/);
    });
  });

  describe('of large values', () => {
    const exact = 'x'.repeat(65_534);

    it('keeps maxBytes of JSON and refuses one more', () => {
      expect(serialize(exact, '$.k', LIMITS)).toHaveLength(65_536);
      expect(refusal(`${exact}x`)).toMatchObject({ path: '$.k', reason: 'is larger than 65536 bytes as JSON' });
    });

    it('counts bytes of UTF-8, escapes included', () => {
      expect(serialize('é'.repeat(32_767), '$.k', LIMITS)).toHaveLength(32_769);
      expect(refusal(`${'é'.repeat(32_767)}x`).reason).toContain('larger');
      expect(refusal('\u0001'.repeat(12_000)).reason).toContain('larger');
    });

    it.each([
      '[]',
      '{}',
      '[0]',
      '[0,0]',
      '[[],[]]',
      '{"a":0}',
      '{"a":0,"b":[{}]}',
      'true',
      'false',
      'null',
      '"x"',
      '0',
    ])('asks no more of %s than the bytes that it has', (text) => {
      expect(serialize(JSON.parse(text), '$.k', { maxDepth: 16, maxBytes: text.length })).toBe(text);
      expect(refusal(JSON.parse(text), { maxDepth: 16, maxBytes: text.length - 1 }).reason).toContain('larger');
    });

    it('counts the keys while it goes, and reads no further than it must', () => {
      let reads = 0;
      const get = (target: Record<string, unknown>, key: string) => (reads++, target[key]);
      const object = new Proxy<Record<string, unknown>>({ ['k'.repeat(1_000)]: null }, { get });

      expect(refusal(new Array(1_000).fill(object)).reason).toContain('larger');
      expect(reads).toBeLessThan(70);
    });

    it('gives up a small graph that unfolds into a huge text', () => {
      let bomb: unknown = 'x';
      for (let level = 0; level < 25; level++) bomb = [bomb, bomb];

      expect(refusal(bomb, { maxDepth: 30, maxBytes: 65_536 }).reason).toContain('larger');
    });
  });

  describe('of hostile objects', () => {
    const throwing = () => {
      throw new Error('canary');
    };

    it.each([
      ['throws when its keys are read', new Proxy({}, { ownKeys: throwing })],
      ['throws when a value is read', new Proxy({ a: 1 }, { get: throwing })],
      ['throws when its prototype is read', new Proxy({}, { getPrototypeOf: throwing })],
      ['was revoked', revokedProxy()],
    ])('refuses a Proxy that %s, and passes nothing of the error on', (_, value) => {
      const error = refusal(value);

      expect(error.reason).toBe('cannot be read');
      expect(error.cause).toBeUndefined();
    });

    it('bounds a Proxy that never ends', () => {
      const endless: object = new Proxy({}, { ownKeys: () => ['a'], get: () => endless, getOwnPropertyDescriptor });

      expect(refusal(endless).reason).toMatch(/deeper|cannot be read/);
    });
  });
});

describe('parseData', () => {
  it('gives the top-level keys of an object', () => {
    expect(parseData('{"a":1,"b":{"c":[null]}}')).toEqual(
      new Map<string, unknown>([
        ['a', 1],
        ['b', { c: [null] }],
      ]),
    );
  });

  it('gives an empty map for an empty object', () => {
    expect(parseData('{}')).toEqual(new Map());
  });

  it.each([
    '',
    ' ',
    'null',
    'true',
    '1',
    '"x"',
    '[]',
    '[{"a":1}]',
    '{',
    '{"a":}',
    '{"a":1',
    "{'a':1}",
    'undefined',
    '\0',
  ])('gives nothing for %p', (text) => {
    expect(parseData(text)).toBeUndefined();
  });

  it.each([
    ['at the top', '{"__proto__":{"isAdmin":true},"a":{}}'],
    ['below', '{"a":{"__proto__":{"isAdmin":true}}}'],
    ['deep in an array', '{"a":[[{"b":{"__proto__":{"isAdmin":true}}}]]}'],
    ['twice', '{"a":{"__proto__":{"isAdmin":true},"__proto__":{"isAdmin":true}}}'],
    ['spelt with escapes', '{"a":{"\\u005f_proto_\\u005F":{"isAdmin":true}}}'],
    ['spelt with one escaped letter', '{"a":{"__pr\\u006fto__":{"isAdmin":true}}}'],
  ])('leaves out a __proto__ %s', (_, text) => {
    const data = parseData(text) ?? new Map();

    expect(data.size).toBeLessThanOrEqual(1 + Number(text.includes('"a"')));
    expect(hasProto(Object.fromEntries(data))).toBe(false);
    expect(Object.assign({}, data.get('a')).isAdmin).toBeUndefined();
    expect(({} as Record<string, unknown>).isAdmin).toBeUndefined();
  });

  it('keeps a value that only mentions __proto__', () => {
    expect(parseData('{"a":"__proto__","b":["\\u0041"]}')).toEqual(
      new Map<string, unknown>([
        ['a', '__proto__'],
        ['b', ['A']],
      ]),
    );
  });

  it('finds nothing that was inherited', () => {
    const data = parseData('{"a":1}');

    expect(['constructor', 'toString', '__proto__', 'hasOwnProperty'].map((key) => data?.get(key))).toEqual(
      new Array(4).fill(undefined),
    );
  });

  it('shares no objects between two calls', () => {
    const text = '{"a":{"b":1}}';

    expect(parseData(text)?.get('a')).not.toBe(parseData(text)?.get('a'));
  });

  it('survives 10 000 levels, with and without a __proto__ among them', () => {
    const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`;

    expect(parseData(`{"a":${deep}}`)?.has('a')).toBe(true);
    expect(() => parseData(`{"__proto__":1,"a":${deep}}`)).not.toThrow();
  });
});

describe('checkKey', () => {
  it.each([
    'cart',
    ' ',
    'Cart ',
    'toString',
    'hasOwnProperty',
    'valueOf',
    'then',
    'toJSON',
    '__meta',
    'user_id',
    'version',
    'cookie',
    'id',
    'a.b',
    'a[0]',
    '*',
    '**',
    "a'b",
    'a"b',
    'a\\b',
    'a`b',
    'a;--',
    '0',
    '-1',
    '1e3',
    '🍪',
  ])('accepts %p', (key) => {
    expect(checkKey(key)).toBeUndefined();
  });

  it.each([
    ['128 characters', 'a'.repeat(128)],
    ['a decomposed letter', 'e\u0301'],
    ['a line separator', '\u2028'],
    ['a right-to-left override', '\u202e'],
    ['a zero-width space', '\u200b'],
  ])('accepts %s', (_, key) => {
    expect(checkKey(key)).toBeUndefined();
  });

  it.each<[string, unknown, string]>([
    ['nothing', '', 'empty'],
    ['129 characters', 'a'.repeat(129), 'longer than 128'],
    ['70 000 characters', 'a'.repeat(70_000), 'longer than 128'],
    ['__proto__', '__proto__', 'prototypes'],
    ['constructor', 'constructor', 'prototypes'],
    ['prototype', 'prototype', 'prototypes'],
    ['$', '$', 'reserved'],
    ['a JSON path', '$.a', 'reserved'],
    ['the key of flash messages', '$flash', 'reserved'],
    ['U+0000', 'a\0b', 'control'],
    ['a line feed', 'a\nb', 'control'],
    ['DEL', 'a\u007f', 'control'],
    ['a C1 control', 'a\u0085', 'control'],
    ['half of a surrogate pair', LONE_SURROGATE, 'well-formed'],
    ['undefined', undefined, 'a string'],
    ['null', null, 'a string'],
    ['a number', 1, 'a string'],
    ['a symbol', Symbol('s'), 'a string'],
    ['an array', ['a'], 'a string'],
    ['an object that becomes a text', { toString: () => 'a' }, 'a string'],
  ])('refuses %s', (_, key, reason) => {
    expect(checkKey(key)).toContain(reason);
  });

  it('shows the key, cut and escaped', () => {
    expect(checkKey('$flash')).toBe('"$flash" is reserved: keys that begin with $ belong to the module');
    expect(checkKey(`a\n${'b'.repeat(200)}`)).toBe(`"a\\u{a}${'b'.repeat(62)}…" is longer than 128 characters`);
  });
});

describe('propertyPath', () => {
  it.each([
    ['cart', '$.cart'],
    ['_a1', '$._a1'],
    ['a.b', '$["a.b"]'],
    ['0', '$["0"]'],
    ['', '$[""]'],
    ['a"]b', '$["a\\"]b"]'],
  ])('shows the key %p as %p', (key, path) => {
    expect(propertyPath('$', key)).toBe(path);
  });
});

function argumentsOf(..._: unknown[]): unknown {
  return (function () {
    return arguments;
  })();
}

function revokedProxy(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function getOwnPropertyDescriptor(): PropertyDescriptor {
  return { value: 1, enumerable: true, configurable: true, writable: true };
}

function hasProto(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.hasOwn(value, '__proto__') || Object.values(value).some(hasProto);
}

/** Mulberry32: a small generator, so that a failure can be repeated. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CHARACTERS = [
  'a',
  'B',
  '0',
  ' ',
  '"',
  '\\',
  '\n',
  '\u0001',
  '\u007f',
  'é',
  'e\u0301',
  '日',
  '🍪',
  '\u2028',
  '$',
  '_',
];

function randomText(random: () => number): string {
  const length = Math.floor(random() * 12);
  return Array.from({ length }, () => CHARACTERS[Math.floor(random() * CHARACTERS.length)]).join('');
}

function randomNumber(random: () => number): number {
  if (random() < 0.5) return Math.floor(random() * 2 ** 53);
  return (random() - 0.5) * 10 ** Math.floor(random() * 12) + Number.EPSILON;
}

function randomValue(random: () => number, levels: number): unknown {
  const kind = Math.floor(random() * (levels > 0 ? 7 : 5));
  const length = Math.floor(random() * 5);
  if (kind === 0) return randomText(random);
  if (kind === 1) return randomNumber(random);
  if (kind === 2) return random() < 0.5;
  if (kind === 3) return null;
  if (kind === 4) return '';
  if (kind === 5) return Array.from({ length }, () => randomValue(random, levels - 1));
  return Object.fromEntries(Array.from({ length }, () => [randomText(random), randomValue(random, levels - 1)]));
}
