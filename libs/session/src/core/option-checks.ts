import { describeValue, quote } from './display.js';
import { parseDuration } from './duration.js';
import { SessionConfigError } from './errors.js';
import type { Duration } from './options.js';

/** Smallest and largest allowed value, as an error shows them. */
export type DurationRange = readonly [Duration, Duration];

/**
 * A copy of an object of options, `undefined` ones left out. Only its own keys count, so that a polluted
 * `Object.prototype` configures nothing, and each is read once.
 *
 * @param name of the object for messages, such as `cookie`.
 * @param known every key that there is.
 * @param elsewhere what to say of keys that people bring along from other libraries.
 * @throws SessionConfigError for a key that is not known.
 */
export function readOwn<T extends object>(
  options: T,
  name: string,
  known: readonly string[],
  elsewhere: Readonly<Record<string, string>> = {},
): Partial<T> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new SessionConfigError(`${name} is ${describeValue(options)}. Give an object.`);
  }
  const own = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      const hint = Object.hasOwn(elsewhere, key) ? elsewhere[key] : suggest(key, known);
      throw new SessionConfigError(`${name} has no option ${quote(key)}. ${hint}`);
    }
    const value = (options as Record<string, unknown>)[key];
    if (value !== undefined) own[key] = value;
  }
  return own as Partial<T>;
}

export function checkBoolean(value: boolean, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new SessionConfigError(`${name} is ${describeValue(value)}. Give true or false.`);
}

export function checkInteger(value: number, name: string, minimum: number, maximum: number): number {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value;
  throw new SessionConfigError(
    `${name} is ${describeValue(value)}. Give a whole number from ${minimum} to ${maximum}.`,
  );
}

export function checkOneOf<T extends string>(value: T, name: string, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new SessionConfigError(`${name} is ${describeValue(value)}. Give one of ${allowed.map(quote).join(', ')}.`);
}

/** @returns milliseconds. */
export function checkDuration(value: Duration, name: string, [minimum, maximum]: DurationRange): number {
  const milliseconds = parseDuration(value, name);
  if (milliseconds >= parseDuration(minimum, name) && milliseconds <= parseDuration(maximum, name)) return milliseconds;
  throw new SessionConfigError(
    `${name} is ${describeValue(value)}. Give at least ${describeValue(minimum)} and at most ${describeValue(maximum)}.`,
  );
}

function suggest(key: string, known: readonly string[]): string {
  const [closest] = known
    .map((candidate) => ({ candidate, distance: editDistance(key.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.min(2, candidate.length / 3))
    .sort((a, b) => a.distance - b.distance);
  return closest ? `Did you mean ${quote(closest.candidate)}?` : `There are ${known.join(', ')}.`;
}

/** Levenshtein: how many characters have to be inserted, removed or exchanged. */
function editDistance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > 2) return Number.POSITIVE_INFINITY;
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [row, character] of Array.from(from).entries()) {
    const current = [row + 1];
    for (let column = 0; column < to.length; column++) {
      const exchanged = (previous[column] ?? 0) + Number(character !== to[column]);
      current.push(Math.min(exchanged, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}
