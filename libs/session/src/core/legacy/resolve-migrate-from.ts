import { describeValue, quote } from '../display.js';
import { SessionConfigError } from '../errors.js';
import { readOwn } from '../option-checks.js';
import type { ResolvedCookieOptions } from '../options.js';
import { resolveCookie } from '../resolve-cookie.js';
import type { LegacySessions, LegacyTable, MigrateFrom, ResolvedMigrateFrom } from './legacy-sessions.js';

const KEYS = ['cookieName', 'cookieDomain', 'cookiePath', 'secrets', 'until', 'userId'];
const SOURCE_KEYS = ['read', 'touch', 'remove', 'connect'];

/** The names that express-session and @fastify/session give their cookie. */
const COOKIE_NAMES = ['connect.sid', 'sessionId'];

/**
 * @param secrets of the session module: tokens of sessions that move are derived with them.
 * @param cookie of the session module.
 * @throws SessionConfigError
 */
export function resolveMigrateFrom(
  migrateFrom: MigrateFrom | undefined,
  secrets: readonly string[],
  cookie: ResolvedCookieOptions,
): ResolvedMigrateFrom | undefined {
  if (migrateFrom === undefined) return undefined;
  const given = readOwn(migrateFrom, 'migrateFrom', [...KEYS, ...SOURCE_KEYS]) as Partial<MigrateFrom>;
  if (secrets.length === 0) {
    throw new SessionConfigError(
      'migrateFrom needs the option secrets of SessionModule: the token of a session that moves is derived with it.',
    );
  }
  const { names, domain, path } = legacyCookie(given);
  if (names.includes(cookie.name)) {
    throw new SessionConfigError(
      `The old cookie of migrateFrom is called ${quote(cookie.name)}, which is the name of the new cookie too. Give cookie.name another name.`,
    );
  }
  const oldSecrets = checkSecrets(given.secrets ?? secrets);
  const resolved = {
    cookie: Object.freeze({ names, domain, path }),
    until: checkUntil(given.until),
    userId: checkFunction(given.userId, 'migrateFrom.userId'),
    source: sourceOf(migrateFrom),
  };
  return Object.freeze(Object.defineProperty(resolved, 'secrets', { get: () => oldSecrets }) as ResolvedMigrateFrom);
}

/** By the rules of our own cookie, so that what browsers would drop is noticed here as well. */
function legacyCookie(given: Partial<MigrateFrom>): ResolvedMigrateFrom['cookie'] {
  const { cookieName: name, cookieDomain: domain, cookiePath: path = '/' } = given;
  try {
    const cookie = resolveCookie({ name, domain, path, secure: true }, false);
    return { names: name === undefined ? COOKIE_NAMES : [name], domain: cookie.domain, path: cookie.path };
  } catch (error) {
    if (!(error instanceof SessionConfigError)) throw error;
    throw new SessionConfigError(`migrateFrom, the old cookie: ${error.message}`);
  }
}

function checkSecrets(secrets: readonly string[]): readonly string[] {
  const isList = Array.isArray(secrets) && secrets.length > 0;
  if (isList && secrets.every((secret) => typeof secret === 'string' && secret !== '')) {
    return Object.freeze([...secrets] as string[]);
  }
  throw new SessionConfigError(
    'migrateFrom.secrets must be an array of the secrets that sign the old cookie, each a text that is not empty. Are their environment variables set?',
  );
}

function checkUntil(until: Date | string | undefined): number {
  const time = until instanceof Date || typeof until === 'string' ? new Date(until).getTime() : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new SessionConfigError(
    `migrateFrom.until is ${describeValue(until)}. Give the date from which on old cookies are not looked at, such as "2027-03-31".`,
  );
}

function checkFunction<F>(value: F, name: string): F {
  if (value === undefined || typeof value === 'function') return value;
  throw new SessionConfigError(`${name} is ${describeValue(value)}. Give a function.`);
}

/** The object itself, as its methods may depend on it. */
function sourceOf(migrateFrom: MigrateFrom): LegacySessions | LegacyTable {
  const { connect, read, touch, remove } = migrateFrom as Partial<LegacySessions & LegacyTable>;
  if (connect === undefined) {
    checkFunction(touch, 'migrateFrom.touch');
    if (typeof read === 'function' && typeof remove === 'function') return migrateFrom as LegacySessions;
  } else if (typeof connect === 'function' && (read ?? touch ?? remove) === undefined) {
    return migrateFrom as LegacyTable;
  }
  throw new SessionConfigError(
    'migrateFrom is connectPgSimple({ … }), connectTypeorm({ … }), or an object with the functions read and remove.',
  );
}
