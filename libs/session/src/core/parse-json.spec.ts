import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { needsRevival, parseJson } from './parse-json.js';

/** Each is taken for the one before it by a `JSON.parse` that compares escapes with characters. */
const CONFUSED: readonly (readonly [string, string])[] = [
  ['\\', '"'],
  ['\\', '\n'],
  ['\\"', '""'],
  ['\\n', '\n\n'],
  ['App\\\\Model', 'App\\Models'],
];

describe('parseJson', () => {
  it.each(CONFUSED)('knows %j from %j', (before, after) => {
    for (const place of [(text: string) => text, (text: string) => `[{"a":${text}}]`]) {
      const [first, second] = [before, after].map((key) => place(JSON.stringify({ [`of ${before}`]: 1, [key]: 2 })));
      JSON.parse(first!);
      expect(JSON.stringify(parseJson(second!))).toBe(second);
      parseJson(first!);
      expect(JSON.stringify(parseJson(second!))).toBe(second);
    }
  });

  it('gives what was written', () => {
    const parts = fc.constantFrom('"', '\\', '\n', 'n', 'u0041', ':', ',', '{', '}', ' ', 'é', '\u2028', '0', '1');
    const text = fc.array(parts, { maxLength: 4 }).map((all) => all.join(''));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(text, fc.integer(), fc.constantFrom(null, true, -1.5e-300)),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(text, tie('value'), { maxKeys: 4, noNullPrototype: true }),
      ),
    }));
    fc.assert(fc.property(value, (given) => expect(parseJson(JSON.stringify(given))).toEqual(given)));
    fc.assert(fc.property(value, (given) => expect(parseJson(JSON.stringify(given, null, 1))).toEqual(given)));
  });

  it.each(['{"a\nb":1,"\\n":2}', '{"\\x":1}', '{"\\n":1', '{"\\n":1,}', '{"a":"\\n}', '"\\', ''])(
    'refuses %j',
    (text) => {
      expect(() => parseJson(text)).toThrow(SyntaxError);
    },
  );

  it('leaves out a __proto__ beside keys with escapes', () => {
    const given = '{"\\n":{"__proto__":{"isAdmin":true}},"\\u005f_proto__":{"isAdmin":true}}';
    expect(Object.getOwnPropertyNames(parseJson(given))).toEqual(['\n']);
    expect(JSON.stringify(parseJson(given))).toBe('{"\\n":{}}');
  });

  it('takes the last of two equal keys, however they are spelt', () => {
    expect(parseJson('{"\\u0061":1,"a":2,"\\n":3}')).toEqual({ a: 2, '\n': 3 });
  });
});

describe('needsRevival', () => {
  it.each([
    ['{"a":"\\n","b":["\\"a\\":1"]}', false],
    ['{"a":"\\"","b":{"\\"" : 1}}', true],
    ['{"a":"__proto__"}', true],
    ['{"a":1}', false],
  ])('of %s is %j', (text, expected) => {
    expect(needsRevival(text)).toBe(expected);
  });

  it('passes a long text once', () => {
    expect(needsRevival(JSON.stringify({ a: '\n"'.repeat(1_000_000) }))).toBe(false);
  });
});
