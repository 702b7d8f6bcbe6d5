import { describe, expect, it } from '@jest/globals';
import { JsonProfileError } from './json-profile.js';
import { parseValue, SessionLimitError, SessionValues, type KeyFilter } from './session-values.js';
import { ShortValues } from './short-values.js';

const LIMITS = { maxBytes: 200, maxDepth: 4, maxKeys: 4 };

/** A delta without its null prototype. */
const deltaOf = (values: SessionValues, only?: readonly string[]) => {
  const delta = values.delta(only);
  return delta && { set: { ...delta.set }, unset: delta.unset };
};

describe.each([
  ['of one request', () => undefined],
  ['of which requests share the short ones', (text: string) => new ShortValues(text)],
])('SessionValues %s', (_, shortValuesOf) => {
  const valuesOf = (data?: object, isVisible?: KeyFilter) => {
    const text = data && JSON.stringify(data);
    const shortValues = text === undefined || isVisible ? undefined : shortValuesOf(text);
    return new SessionValues(text, LIMITS, () => {}, isVisible, shortValues);
  };

  it('reads what the row has', () => {
    const values = valuesOf({ a: 1, b: null });
    expect([values.get('a'), values.get('b'), values.get('c')]).toEqual([1, null, undefined]);
    expect([values.has('b'), values.has('c'), values.keys()]).toEqual([true, false, ['a', 'b']]);
    expect(values.delta()).toBeUndefined();
  });

  it('[words] gives no word of the prototype of all objects', () => {
    const values = valuesOf({ a: 1 });
    const keys = ['toString', 'constructor', '__proto__', 'hasOwnProperty'];
    expect([values.get('a'), ...keys.map((key) => values.get(key))]).toEqual([1, ...keys.map(() => undefined)]);
    expect(keys.map((key) => values.has(key))).toEqual(keys.map(() => false));
  });

  it('[words] reads, changes and reads again', () => {
    const values = valuesOf({ a: 1, b: { c: 2 } });
    expect(values.get('a')).toBe(1);
    values.set('a', 2);
    (values.get('b') as { c: number }).c = 3;
    expect([values.get('a'), values.get('b'), values.keys()]).toEqual([2, { c: 3 }, ['a', 'b']]);
    values.delete('a');
    expect([values.get('a'), values.has('a')]).toEqual([undefined, false]);
    expect(deltaOf(values)).toEqual({ set: { b: '{"c":3}' }, unset: ['a'] });
  });

  it('takes a value that no JSON can be made of for absent, tells of it, and lets the row keep it', () => {
    const told: string[] = [];
    const depth = 100_000;
    const text = `{"deep":${'['.repeat(depth)}${']'.repeat(depth)},"a":1}`;
    const values = new SessionValues(
      text,
      { ...LIMITS, maxBytes: 1_000_000 },
      (key) => told.push(key),
      undefined,
      shortValuesOf(text),
    );
    expect([values.get('deep'), values.get('deep'), values.get('a')]).toEqual([undefined, undefined, 1]);
    expect(told).toEqual(['deep']);
    expect(deltaOf(values)).toBeUndefined();
    values.set('b', 2);
    expect(deltaOf(values)).toEqual({ set: { b: '2' }, unset: [] });
    values.set('deep', 'shallow');
    expect(deltaOf(values)).toEqual({ set: { b: '2', deep: '"shallow"' }, unset: [] });
    values.clear();
    expect(deltaOf(values)!.unset).toEqual(['deep', 'a']);
  });

  it('is empty without a row', () => {
    expect([valuesOf().keys(), valuesOf().delta()]).toEqual([[], undefined]);
  });

  describe('delta', () => {
    it('names what was set and what was deleted', () => {
      const values = valuesOf({ a: 1, b: 2, c: 3 });
      values.set('a', 10);
      values.set('new', { x: 1 });
      values.delete('b');
      values.delete('absent');
      expect(deltaOf(values)).toEqual({ set: { a: '10', new: '{"x":1}' }, unset: ['b'] });
      expect(deltaOf(values, ['b', 'c', 'absent'])).toEqual({ set: {}, unset: ['b'] });
      expect(deltaOf(values, ['c'])).toBeUndefined();
    });

    it('knows no prototype, so that a key may be called toString', () => {
      const values = valuesOf();
      values.set('a', 1);
      expect(values.delta()!.set.toString).toBeUndefined();
    });

    it('[words] notices a change inside an object that was handed out, and in no other', () => {
      const values = valuesOf({ a: [1], b: [2], n: 1 });
      values.get('n');
      (values.get('a') as number[]).push(2);
      values.get('b');
      expect(deltaOf(values)).toEqual({ set: { a: '[1,2]' }, unset: [] });
    });

    it('is none where the value is what it was', () => {
      const values = valuesOf({ a: [1], n: 1 });
      values.set('n', 2);
      values.set('n', 1);
      values.set('a', [1]);
      values.set('new', 1);
      values.delete('new');
      expect(values.delta()).toBeUndefined();
    });

    it('serialises at the time it is asked for', () => {
      const values = valuesOf();
      const list = [1];
      values.set('list', list);
      list.push(2);
      expect(deltaOf(values)).toEqual({ set: { list: '[1,2]' }, unset: [] });
    });

    it('refuses what is no JSON, with its path', () => {
      const values = valuesOf({ list: [] });
      (values.get('list') as unknown[]).push({ when: new Date(0) });
      expect(() => values.delta()).toThrow(JsonProfileError);
      expect(() => values.delta()).toThrow('$.list[0].when is a Date');
      values.set('odd key', undefined);
      expect(() => values.delta(['odd key'])).toThrow('$["odd key"] is undefined');
    });

    it('does not judge what was only handed out', () => {
      const values = new SessionValues('{"a":{"serial":12345678901234567890},"deep":[[[[[[1]]]]]]}', LIMITS, () => {});
      values.get('a');
      values.get('deep');
      expect(values.delta()).toBeUndefined();
      (values.get('deep') as unknown[]).push(1);
      expect(() => values.delta()).toThrow('nested deeper');
      values.set('a', values.get('a'));
      expect(() => values.delta(['a'])).toThrow('beyond 2^53');
    });
  });

  describe('an accepted delta', () => {
    it('is not pending any more, and what changes afterwards is', () => {
      const values = valuesOf({ gone: 1 });
      const list = [1];
      values.set('list', list);
      values.delete('gone');
      values.accept(values.delta()!);
      expect(values.delta()).toBeUndefined();
      list.push(2);
      values.set('gone', 2);
      expect(deltaOf(values)).toEqual({ set: { list: '[1,2]', gone: '2' }, unset: [] });
    });

    it('is pending again when it is given back, with the values of now', () => {
      const values = valuesOf({ gone: 1 });
      values.set('a', 1);
      values.set('b', 1);
      values.delete('gone');
      const delta = values.delta()!;
      values.accept(delta);
      values.set('b', 2);
      values.giveBack(delta);
      expect(deltaOf(values)).toEqual({ set: { a: '1', b: '2' }, unset: ['gone'] });
      values.accept(values.delta()!);
      expect(values.delta()).toBeUndefined();
    });
  });

  describe('absorb', () => {
    it('shows the value that the row has now', () => {
      const values = valuesOf({ n: 1, list: ['a'] });
      values.get('list');
      values.absorb('n', '2');
      values.absorb('list', '["a","b"]');
      values.absorb('new', '{"x":1}');
      expect([values.get('n'), values.get('list'), values.get('new')]).toEqual([2, ['a', 'b'], { x: 1 }]);
      expect(values.delta()).toBeUndefined();
      values.absorb('n', undefined);
      expect([values.has('n'), values.delta()]).toEqual([false, undefined]);
    });

    it('leaves a value alone that the request has changed meanwhile', () => {
      const values = valuesOf({ n: 1, list: [1], gone: 1 });
      values.set('n', 10);
      (values.get('list') as number[]).push(2);
      values.delete('gone');
      values.absorb('n', '2');
      values.absorb('list', '[1,9]');
      values.absorb('gone', '2');
      expect([values.get('n'), values.get('list'), values.has('gone')]).toEqual([10, [1, 2], false]);
      expect(deltaOf(values)).toEqual({ set: { n: '10', list: '[1,2]' }, unset: ['gone'] });
      values.absorb('n', '10');
      expect(deltaOf(values, ['n'])).toBeUndefined();
    });

    it('leaves a value alone that has become no JSON', () => {
      const values = valuesOf({ list: [1] });
      (values.get('list') as unknown[]).push(1n);
      values.absorb('list', '[]');
      expect(values.get('list')).toEqual([1, 1n]);
    });

    it('counts the bytes', () => {
      const values = valuesOf();
      values.absorb('a', `"${'x'.repeat(100)}"`);
      values.set('b', 'x'.repeat(100));
      expect(() => values.delta()).toThrow('(maxBytes)');
    });
  });

  it('retain forgets all other keys, and what was pending on them', () => {
    const values = valuesOf({ a: 1, b: [1], c: 1 });
    values.set('a', 2);
    (values.get('b') as number[]).push(2);
    values.set('new', 1);
    values.retain(['b', 'absent']);
    expect(values.keys()).toEqual(['b']);
    expect(deltaOf(values)).toEqual({ set: { b: '[1,2]' }, unset: [] });
    values.set('a', 1);
    expect(deltaOf(values, ['a'])).toEqual({ set: { a: '1' }, unset: [] });
  });

  describe('with a filter', () => {
    const odd: KeyFilter = (_key, value) => value !== 'odd';

    it('hides a key and leaves it in the row', () => {
      const values = valuesOf({ a: 'odd', b: 1 }, odd);
      expect([values.has('a'), values.get('a'), values.keys()]).toEqual([false, undefined, ['b']]);
      values.set('b', 2);
      expect(deltaOf(values)).toEqual({ set: { b: '2' }, unset: [] });
    });

    it('lets it be set, deleted and cleared', () => {
      const replaced = valuesOf({ a: 'odd' }, odd);
      replaced.set('a', 'new');
      expect(deltaOf(replaced)).toEqual({ set: { a: '"new"' }, unset: [] });
      const deleted = valuesOf({ a: 'odd' }, odd);
      deleted.delete('a');
      expect(deltaOf(deleted)).toEqual({ set: {}, unset: ['a'] });
      const cleared = valuesOf({ a: 'odd', b: 1 }, odd);
      cleared.clear();
      expect(deltaOf(cleared)).toEqual({ set: {}, unset: ['b', 'a'] });
    });

    it('shows it once an atomic operation has mended it, and then does not delete it', () => {
      const values = valuesOf({ a: 'odd' }, odd);
      values.absorb('a', '"even"');
      expect([values.get('a'), values.delta()]).toEqual(['even', undefined]);
      values.absorb('a', '"odd"');
      expect([values.get('a'), values.delta()]).toEqual([undefined, undefined]);
    });
  });

  describe('limits', () => {
    it('maxKeys counts all keys, hidden ones too', () => {
      const values = valuesOf({ a: 1, b: 'odd' }, (_key, value) => value !== 'odd');
      values.set('c', 1);
      values.set('d', 1);
      expect(() => values.checkRoomFor('e')).toThrow(SessionLimitError);
      expect(() => values.checkRoomFor('a')).not.toThrow();
      expect(() => values.checkRoomFor('b')).not.toThrow();
      expect(deltaOf(values)).toEqual({ set: { c: '1', d: '1' }, unset: [] });
      values.set('e', 1);
      expect(() => values.delta()).toThrow('5 keys, and at most 4 are allowed (maxKeys)');
    });

    it.each([
      ['of which a third of the limit is there', 'x'.repeat(40)],
      ['of which half is there', 'x'.repeat(90)],
      ['of characters that take three bytes', '€'.repeat(30)],
    ])('maxBytes counts the whole session to the byte, %s', (_, there) => {
      const values = valuesOf({ a: there });
      const room = 200 - Buffer.byteLength(there);
      // {"a":"…","b":"…"}: 15 bytes besides the two texts.
      values.set('b', 'x'.repeat(room - 15));
      expect(values.delta()).toBeDefined();
      values.set('b', 'x'.repeat(room - 14));
      expect(() => values.delta()).toThrow('201 bytes of JSON, and at most 200 are allowed (maxBytes)');
      values.delete('a');
      expect(values.delta()).toBeDefined();
    });

    it('let a session that is over them lose keys', () => {
      const values = valuesOf({ a: 'x'.repeat(300), b: 1, c: 1, d: 1, e: 1 });
      values.delete('b');
      expect(deltaOf(values)).toEqual({ set: {}, unset: ['b'] });
    });
  });
});

describe('parseValue', () => {
  it('takes any JSON, and leaves out __proto__', () => {
    expect([parseValue(undefined), parseValue('null'), parseValue('[1]')]).toEqual([undefined, null, [1]]);
    const parsed = parseValue('{"__proto__":{"isAdmin":true},"a":{"__proto__":{}}}') as { a: object };
    expect([Object.keys(parsed), Object.keys(parsed.a)]).toEqual([['a'], []]);
  });
});

it('[short values] values that requests share are no way from one to another', () => {
  const text = JSON.stringify({ word: 'one', list: [1], long: 'x'.repeat(100) });
  const shortValues = new ShortValues(text);
  const [one, other] = [1, 2].map(() => new SessionValues(text, LIMITS, () => {}, undefined, shortValues));
  (one!.get('list') as number[]).push(2);
  one!.set('word', 'two');
  one!.delete('long');
  expect(['word', 'list', 'long'].map((key) => one!.get(key))).toEqual(['two', [1, 2], undefined]);
  expect(['word', 'list', 'long'].map((key) => other!.get(key))).toEqual(['one', [1], 'x'.repeat(100)]);
  expect(deltaOf(one!)).toEqual({ set: { word: '"two"', list: '[1,2]' }, unset: ['long'] });
  expect(deltaOf(other!)).toBeUndefined();
});
