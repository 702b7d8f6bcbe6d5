import type { ResolvedCookieOptions } from '../core/options.js';

/** 400 days in seconds, what browsers grant at most: https://www.rfc-editor.org/rfc/rfc6265bis#section-5.5 */
const MAX_AGE_LIMIT = 34_560_000;

const EPOCH = 'Thu, 01 Jan 1970 00:00:00 GMT';

const SAME_SITE = { lax: 'Lax', strict: 'Strict', none: 'None' } as const;

/**
 * The values of all cookies of exactly this name, in order and without repetitions.
 *
 * Names and values are taken as they are: nothing is decoded, unquoted or folded, since each of that lets another text
 * pass for ours (CVE-2020-7070, CVE-2022-31629). Only spaces and tabs around a pair are dropped.
 * A pair that begins with `=` has no name, whatever follows (CVE-2023-23934).
 */
export function readCookieValues(header: string | undefined, name: string): string[] {
  // Adapters that imitate a request have been seen to give an array.
  if (typeof header !== 'string') return [];
  const values: string[] = [];
  for (let start = 0; start < header.length;) {
    const semicolon = header.indexOf(';', start);
    const end = semicolon === -1 ? header.length : semicolon;
    while (start < end && isBlank(header.charCodeAt(start))) start++;
    const valueAt = start + name.length + 1;
    if (valueAt <= end && header.startsWith(name, start) && header[valueAt - 1] === '=') {
      values.push(trimEnd(header.slice(valueAt, end)));
    }
    start = end + 1;
  }
  return values.length < 2 ? values : [...new Set(values)];
}

/**
 * A Set-Cookie line.
 *
 * @param maxAgeSeconds how long the browser keeps it, at most 400 days; `undefined` until the browser is closed.
 */
export function serializeCookie(
  options: ResolvedCookieOptions,
  value: string,
  maxAgeSeconds: number | undefined,
): string {
  return serialize(options, value, maxAgeSeconds === undefined ? [] : [`Max-Age=${wholeMaxAge(maxAgeSeconds)}`]);
}

/** The Set-Cookie line that removes the cookie. The attributes are the same, or the browser would keep it. */
export function serializeExpiredCookie(options: ResolvedCookieOptions): string {
  return serialize(options, '', ['Max-Age=0', `Expires=${EPOCH}`]);
}

/** Whether a Set-Cookie line sets the cookie of this name, as a browser would read it. */
export function isCookieNamed(setCookieLine: string, name: string): boolean {
  const [pair = ''] = setCookieLine.split(';', 1);
  const end = pair.indexOf('=');
  return end !== -1 && trimBlanks(pair.slice(0, end)) === name;
}

function serialize(options: ResolvedCookieOptions, value: string, lifetime: readonly string[]): string {
  return [
    `${options.name}=${value}`,
    ...(options.domain === undefined ? [] : [`Domain=${options.domain}`]),
    `Path=${options.path}`,
    ...lifetime,
    'HttpOnly',
    ...(options.secure ? ['Secure'] : []),
    `SameSite=${SAME_SITE[options.sameSite]}`,
    ...(options.partitioned ? ['Partitioned'] : []),
  ].join('; ');
}

/** Rounded up: a cookie that outlives its session is harmless, one that ends early signs somebody out. */
function wholeMaxAge(seconds: number): number {
  return Math.min(Math.max(Math.ceil(seconds), 0), MAX_AGE_LIMIT);
}

function trimBlanks(text: string): string {
  let start = 0;
  while (start < text.length && isBlank(text.charCodeAt(start))) start++;
  return trimEnd(text.slice(start));
}

/** Without a regular expression: those for the end of a text are quadratic in the blanks inside it. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(0, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
