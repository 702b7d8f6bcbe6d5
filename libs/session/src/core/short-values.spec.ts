import { describe, expect, it } from '@jest/globals';
import { OWN_VALUE, ShortValues } from './short-values.js';

const of = (data: object) => new ShortValues(JSON.stringify(data));

describe('ShortValues', () => {
  it.each([
    ['a text', 'text'],
    ['an empty text', ''],
    ['a number', 0],
    ['true', true],
    ['false', false],
    ['null', null],
  ])('shares %s', (_, value) => {
    expect(of({ key: value }).get('key')).toBe(value);
  });

  it.each([
    ['an object', {}],
    ['an array', ['text']],
    ['a long text', 'x'.repeat(65)],
  ])('[short values] does not share %s', (_, value) => {
    expect(of({ key: value, other: 1 }).get('key')).toBe(OWN_VALUE);
    expect(of({ key: value, other: 1 }).get('other')).toBe(1);
  });

  it.each(['missing', '__proto__', 'constructor', 'toString'])('knows that there is no %s', (key) => {
    expect(of({ key: 1 }).get(key)).toBeUndefined();
  });

  it('shares nothing of a session with very many keys', () => {
    const keys = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, index]));
    expect(of(keys(32)).get('key31')).toBe(31);
    expect(of(keys(33)).get('key31')).toBe(OWN_VALUE);
    expect(of(keys(33)).get('missing')).toBe(OWN_VALUE);
  });

  it.each(['[]', '1', 'no JSON'])('leaves %s to the request', (text) => {
    expect(new ShortValues(text).get('key')).toBe(OWN_VALUE);
  });
});
