import fc from 'fast-check';
import { checkKey } from '../../../core/json-profile.js';
import { HOSTILE_KEYS } from '../keys.js';

/** Levels of arrays and objects in one value, as the option `maxDepth` has it by default. */
export const MAX_DEPTH = 16;

/** Numbers that are lost in a careless conversion: to decimal, to integer, to fewer digits, to another spelling. */
const ODD_NUMBERS: readonly number[] = [
  -0,
  0.1 + 0.2,
  5e-324,
  2.2250738585072014e-308,
  1e-7,
  1.5e-10,
  123456789.12345679,
  4503599627370495.5,
  2 ** 31,
  2 ** 32,
  -(2 ** 31) - 1,
  1e15,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
];

/** Texts that look like something else, or that an encoding, a pattern or a comparison may change. */
const ODD_TEXTS: readonly string[] = [
  '',
  ' ',
  ' padded ',
  '123',
  '007',
  'true',
  'null',
  '{"a":1}',
  '[]',
  '"',
  '\\',
  '\\u0041',
  '\\"',
  "'",
  "''; DROP TABLE sessions; --",
  '$1',
  ':a ?',
  '%s',
  '\n\r\t\b\f',
  '\u0001\u001f\u007f\u0085',
  '\u2028\u2029',
  '\ufeff\ufffe\uffff',
  'e\u0301 \u00e9',
  'a\u0301'.repeat(100),
  '👩‍👩‍👧 𝒳',
  '\u202eabc',
];

const withoutNul = (text: string) => text.replaceAll('\0', '');

function texts(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string(),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }).map(withoutNul),
    fc.constantFrom(...ODD_TEXTS, ...HOSTILE_KEYS),
  );
}

function numbers(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.constantFrom(...ODD_NUMBERS),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .map((value) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? value / 1e308 : value)),
  );
}

/** Any value that the profile allows: what `serialize` of core takes with so many levels of arrays and objects. */
export function jsonValues(maxDepth = MAX_DEPTH): fc.Arbitrary<unknown> {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth, depthSize: 'small' },
      fc.oneof(texts(), numbers(), fc.boolean(), fc.constant(null)),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(nestedKeys(), tie('value'), { maxKeys: 5 }),
    ),
  }));
  return fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: deepValues(maxDepth) });
}

/** Top-level keys that a session takes. */
export function keys(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(...HOSTILE_KEYS),
    texts().filter((text) => checkKey(text) === undefined),
  );
}

function nestedKeys(): fc.Arbitrary<string> {
  return fc
    .oneof(texts(), fc.constantFrom('constructor', 'prototype', '$', '$.a'))
    .filter((key) => key !== '__proto__');
}

/** As deep as is allowed, by arrays and objects. */
function deepValues(maxDepth: number): fc.Arbitrary<unknown> {
  const levels = fc.array(fc.boolean(), { minLength: maxDepth, maxLength: maxDepth });
  return fc
    .tuple(levels, numbers())
    .map(([isArray, leaf]) =>
      isArray.reduce<unknown>((inner, asArray) => (asArray ? [inner] : { 'a.b': inner, '': null }), leaf),
    );
}
