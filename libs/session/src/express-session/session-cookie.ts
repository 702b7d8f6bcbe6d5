import type { IdleLifetime } from '../storage/dialects/dialect.js';
import type { SessionLifetime } from '../core/options.js';

/** Under this key the row keeps the cookie, as the rows of other stores for express-session do. */
export const COOKIE = 'cookie';

/** As much of express-session's cookie as tells how long a session lives. */
interface CookieLike {
  readonly originalMaxAge?: unknown;
  toJSON?(): object;
}

/**
 * What express-session lets a `maxAge` differ by, in milliseconds, when nobody has changed it: it reads the clock twice when it
 * sets one, and takes the distance for the new `originalMaxAge`. With every request it would get shorter.
 */
const DRIFT = 1_000;

/**
 * JSON of a cookie without the time at which it ends, which moves with every request: the row says when that is. In one
 * order of keys, since a database may have its own.
 *
 * @param maxAge milliseconds, in place of the cookie's own.
 */
export function cookieText(cookie: unknown, maxAge: number | undefined): string {
  const { toJSON } = (cookie ?? {}) as CookieLike;
  const attributes = (typeof toJSON === 'function' ? toJSON.call(cookie) : (cookie ?? {})) as Record<string, unknown>;
  const own = maxAge === undefined ? attributes : { ...attributes, originalMaxAge: maxAge };
  const kept = Object.entries(own).filter(([name]) => name !== 'expires' && name !== '_expires');
  return JSON.stringify(Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1))));
}

/**
 * A cookie as a store hands it to express-session.
 *
 * @param kept what the row has, whatever that is.
 * @param remaining milliseconds for which the session lives if nobody uses it.
 */
export function loadedCookie(kept: unknown, remaining: number) {
  const attributes = typeof kept === 'object' && kept !== null && !Array.isArray(kept) ? kept : {};
  const cookie = { originalMaxAge: null as number | null, ...attributes };
  return { ...cookie, expires: maxAgeOf(cookie) === undefined ? null : new Date(Date.now() + remaining) };
}

/** Milliseconds that the session shall live without use; `undefined` where its cookie ends with the browser. */
export function maxAgeOf(cookie: unknown): number | undefined {
  const { originalMaxAge } = (cookie ?? {}) as CookieLike;
  return typeof originalMaxAge === 'number' && !Number.isNaN(originalMaxAge) ? originalMaxAge : undefined;
}

/** The `maxAge` that there was, where the new one differs by no more than drift. */
export function steady(maxAge: number | undefined, before: number | undefined): number | undefined {
  if (maxAge === undefined || before === undefined) return maxAge;
  // Of a short one, a part.
  return Math.abs(maxAge - before) <= Math.min(DRIFT, before / 10) ? before : maxAge;
}

/** What a `maxAge` means for the row. One in the past ends the session at once. */
export function lifetimeFor(maxAge: number | undefined, defaults: SessionLifetime): IdleLifetime {
  if (maxAge === undefined) return { idleTimeout: defaults.idleTimeout, persistent: false };
  const idleTimeout = Math.min(Math.max(1, Math.ceil(maxAge)), defaults.absoluteTimeout);
  return { idleTimeout, persistent: true };
}
