import { describeValue } from './display.js';
import { SessionConfigError } from './errors.js';
import type { Duration } from './options.js';

const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const TEXT = /^([1-9][0-9]*)(ms|s|m|h|d)$/;

/**
 * A duration in whole milliseconds, always above 0.
 *
 * @param optionName what the error calls it.
 * @throws SessionConfigError for anything but a whole positive number, or one such number with one unit.
 */
export function parseDuration(value: Duration, optionName: string): number {
  const milliseconds = typeof value === 'string' ? parseText(value) : value;
  if (Number.isSafeInteger(milliseconds) && milliseconds > 0) return milliseconds;

  throw new SessionConfigError(
    `${optionName} is ${describeValue(value)}. Give a whole number of milliseconds above 0, or a text with one unit: '500ms', '45s', '30m', '12h' or '14d'.`,
  );
}

function parseText(text: string): number {
  const [, count, unit] = TEXT.exec(text) ?? [];
  return Number(count) * MILLISECONDS[unit as keyof typeof MILLISECONDS];
}
