import { describe, expect, it } from '@jest/globals';
import { hasSerialOrder, type KeyHistory, type Seen } from './serial-order.js';

const write = (value: string | undefined): Seen => ({ kind: 'write', value });
const read = (value: string | undefined): Seen => ({ kind: 'read', value });
const compareAndSet = (value: string, isApplied: boolean): Seen => ({ kind: 'compareAndSet', isApplied, value });
const increment = (value: string | undefined): Seen => ({
  kind: 'operation',
  operation: { kind: 'increment', key: 'k', by: 1 },
  isApplied: value !== undefined,
  value,
});
const take = (value: string | undefined): Seen => ({
  kind: 'operation',
  operation: { kind: 'take', key: 'k' },
  isApplied: value !== undefined,
  value,
});

describe('hasSerialOrder', () => {
  const cases: [what: string, history: Partial<KeyHistory>, has: boolean][] = [
    ['nothing happened', {}, true],
    ['a value came from nowhere', { final: '1' }, false],
    ['the last of two writes stands', { requests: [[write('1')], [write('2')]], final: '1' }, true],
    ['a write is lost within one request', { requests: [[write('1'), write('2')], []], final: '1' }, false],
    ['both increments count', { requests: [[increment('1')], [increment('2')]], final: '2' }, true],
    ['two increments answer the same', { requests: [[increment('1')], [increment('1')]], final: '1' }, false],
    ['an increment is lost', { requests: [[increment('1')], [increment('2')]], final: '1' }, false],
    ['an increment met a text', { requests: [[increment(undefined)], [write('"x"')]], final: '"x"' }, true],
    ['an increment refused a number', { initial: '1', requests: [[increment(undefined)], []], final: '1' }, false],
    ['one of two takes got it', { initial: '1', requests: [[take('1')], [take(undefined)]] }, true],
    ['both takes got it', { initial: '1', requests: [[take('1')], [take('1')]] }, false],
    ['a take left it there', { initial: '1', requests: [[take('1')], []], final: '1' }, false],
    [
      'a comparison won before a write',
      { requests: [[read(undefined), compareAndSet('1', true)], [write('2')]], final: '2' },
      true,
    ],
    [
      'a comparison overwrote what it had not read',
      { requests: [[read(undefined), compareAndSet('1', true)], [take('2')]], initial: '2', final: '1' },
      true,
    ],
    [
      'a comparison undid an increment',
      { requests: [[read('1'), compareAndSet('5', true)], [increment('2')]], initial: '1', final: '5' },
      false,
    ],
    [
      'a comparison lost to a change elsewhere',
      { requests: [[read('1'), compareAndSet('5', false)], []], initial: '1', final: '1' },
      true,
    ],
    ['a read saw what never was', { requests: [[read('3')], [write('1')]], final: '1' }, false],
  ];

  it.each(cases)('%s', (_what, history, has) => {
    expect(hasSerialOrder({ initial: undefined, requests: [[], []], final: undefined, ...history })).toBe(has);
  });
});
