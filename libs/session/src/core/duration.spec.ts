import { describe, expect, it } from '@jest/globals';
import { parseDuration } from './duration.js';
import { SessionConfigError } from './errors.js';
import type { Duration } from './options.js';

describe('parseDuration', () => {
  it.each<[Duration, number]>([
    [1, 1],
    [86_400_000, 86_400_000],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ['1ms', 1],
    ['500ms', 500],
    ['45s', 45_000],
    ['30m', 1_800_000],
    ['12h', 43_200_000],
    ['14d', 1_209_600_000],
  ])('reads %p as %p ms', (value, milliseconds) => {
    expect(parseDuration(value, 'idleTimeout')).toBe(milliseconds);
  });

  it.each([
    0,
    -0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e21,
    2 ** 53,
    '',
    ' ',
    '30',
    'm',
    '30 m',
    ' 30m',
    '30m ',
    '9999999999999999ms',
    '30M',
    '30min',
    '1h30m',
    '1.5h',
    '1e3s',
    '0x10s',
    '+5m',
    '-5m',
    '0s',
    '007s',
    '1_000ms',
    '٣m',
    '1w',
    '1y',
    '999999999999999d',
    'P1D',
    null,
    undefined,
    true,
    10n,
    [30],
    ['30m'],
    {},
    new Date(1),
    Object(5),
    () => 5,
    { toString: () => '30m', valueOf: () => 5 },
  ])('refuses %p', (value) => {
    expect(() => parseDuration(value as Duration, 'idleTimeout')).toThrow(SessionConfigError);
  });

  it.each([
    ['a line feed at the end', '30m\n'],
    ['100 000 digits', '9'.repeat(100_000)],
  ])('refuses %s', (_, value) => {
    expect(() => parseDuration(value, 'idleTimeout')).toThrow(SessionConfigError);
  });

  it('says which option, what was given and what is accepted', () => {
    expect(() => parseDuration('1 hour', 'cleanup.interval')).toThrow(
      `cleanup.interval is "1 hour". Give a whole number of milliseconds above 0, or a text with one unit: '500ms', '45s', '30m', '12h' or '14d'.`,
    );
  });

  it('keeps its message short and printable, whatever was given', () => {
    const message = messageOf(() => parseDuration(`\u001b[31m\r\n${'x'.repeat(5_000)}`, 'deadline'));

    expect(message.length).toBeLessThan(300);
    expect(message).not.toMatch(/\p{Cc}/u);
  });
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}
