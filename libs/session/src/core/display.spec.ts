import { describe, expect, it } from '@jest/globals';
import { describeValue, quote } from './display.js';

describe('quote', () => {
  it.each([
    ['plain text', 'cart', '"cart"'],
    ['nothing', '', '""'],
    ['quotes and backslashes', 'a"b\\c', '"a\\"b\\\\c"'],
    ['a forged log line', 'x\n[INFO] login ok', '"x\\u{a}[INFO] login ok"'],
    ['a terminal escape', '\u001b[31mred', '"\\u{1b}[31mred"'],
    ['a right-to-left override', 'a\u202eb', '"a\\u{202e}b"'],
    ['a line separator', 'a\u2028b', '"a\\u{2028}b"'],
    ['a lone surrogate', 'a\ud800b', '"a\\u{d800}b"'],
    ['an invisible tag character', 'a\u{e0041}b', '"a\\u{e0041}b"'],
    ['letters of any language', 'héllo 日本 🍪', '"héllo 日本 🍪"'],
  ])('shows %s', (_, text, shown) => {
    expect(quote(text)).toBe(shown);
  });

  it('shows 64 characters and no more', () => {
    expect(quote('k'.repeat(64))).toBe(`"${'k'.repeat(64)}"`);
    expect(quote('k'.repeat(65))).toBe(`"${'k'.repeat(64)}…"`);
  });

  it('escapes the half of a character that the cut leaves', () => {
    expect(quote(`${'k'.repeat(63)}🍪`)).toBe(`"${'k'.repeat(63)}\\u{d83c}…"`);
  });
});

describe('describeValue', () => {
  it.each([
    ['14 d', '"14 d"'],
    [-1.5, '-1.5'],
    [Number.NaN, 'NaN'],
    [3n, '3'],
    [true, 'true'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Symbol('s'), 'Symbol(s)'],
    [[1, 2], 'an array'],
    [{ secret: 1 }, 'an object'],
    [() => 1, 'a function'],
  ])('describes %p', (value, shown) => {
    expect(describeValue(value)).toBe(shown);
  });

  it('calls nothing of the value', () => {
    const trap = () => {
      throw new Error('called');
    };

    expect(describeValue({ toString: trap, toJSON: trap, valueOf: trap, [Symbol.toPrimitive]: trap })).toBe(
      'an object',
    );
  });
});
