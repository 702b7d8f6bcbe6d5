import { describeValue } from './display.js';
import { SessionConfigError } from './errors.js';
import { resolveMigrateFrom } from './legacy/resolve-migrate-from.js';
import { checkBoolean, checkDuration, checkInteger, readOwn } from './option-checks.js';
import type { DurationRange } from './option-checks.js';
import type {
  Duration,
  ResolvedSessionOptions,
  SessionCacheOptions,
  SessionCleanupOptions,
  SessionLifetime,
  SessionOptions,
} from './options.js';
import { resolveCookie } from './resolve-cookie.js';
import type { LoginOptions } from './session.js';

/** What applies where an option is absent. The cookie's are in `resolve-cookie.ts`, where they depend on each other. */
const DEFAULTS = {
  secrets: undefined,
  cookie: {},
  idleTimeout: '1d',
  absoluteTimeout: '14d',
  maxAbsoluteTimeout: '400d',
  persistent: true,
  touchAfter: undefined,
  deadline: '2s',
  maxBytes: 65_536,
  maxDepth: 16,
  maxKeys: 256,
  cleanup: { interval: '10m', batchSize: 1_000 },
  cache: false,
  preparedStatements: false,
  schema: undefined,
  migrateFrom: undefined,
  onEvent: undefined,
} as const satisfies { [K in keyof Required<SessionOptions>]: SessionOptions[K] };

/** What a cache has where it is switched on. */
const CACHE_DEFAULTS = {
  maxSessions: 10_000,
  maxBytes: 64 * 1_024 * 1_024,
  maxAge: '2s',
} as const satisfies Required<SessionCacheOptions>;

const LIFETIME_RANGE: DurationRange = ['100ms', '3650d'];

const DEADLINE_RANGE: DurationRange = ['10ms', '60s'];

/** The longest delay of a Node timer: with a longer one it fires at once, over and over. */
const LONGEST_TIMER = 2 ** 31 - 1;

const CLEANUP_RANGE: DurationRange = ['1s', LONGEST_TIMER];

/** What is changed elsewhere is never seen later than this. */
const CACHE_RANGE: DurationRange = ['10ms', '2s'];

const TOUCH_RANGE: DurationRange = [1, '3650d'];

const MIN_TOUCH_AFTER = 60_000;

/** As long as what HMAC-SHA-256 makes of it (OWASP ASVS 11.2.2; RFC 2104, 3). */
const MIN_SECRET_BYTES = 32;

const SECRET_ADVICE = 'Give at least 32 random bytes as text, such as `openssl rand -base64 32` prints.';

/**
 * The options with every default filled in, every duration in milliseconds, and every contradiction refused. Done once,
 * at boot. The result is frozen.
 *
 * @param env decides by `NODE_ENV` whether the cookie is secure by default.
 * @throws SessionConfigError with a sentence that names the option; it never shows a secret.
 */
export function resolveOptions(
  options: SessionOptions = {},
  env: Readonly<Record<string, string | undefined>> = process.env,
): ResolvedSessionOptions {
  const given = readOwn(options, 'SessionModule', Object.keys(DEFAULTS));
  const all = { ...DEFAULTS, ...given };
  const secrets = checkSecrets(all.secrets);
  const lifetime = resolveLifetime(given);
  const cookie = resolveCookie(all.cookie, env.NODE_ENV === 'production');
  const resolved = {
    cookie,
    lifetime,
    maxAbsoluteTimeout: resolveMaxAbsoluteTimeout(given, lifetime),
    touchAfter: resolveTouchAfter(given, lifetime),
    deadline: checkDuration(all.deadline, 'deadline', DEADLINE_RANGE),
    maxBytes: checkInteger(all.maxBytes, 'maxBytes', 256, 16 * 1_024 * 1_024),
    maxDepth: checkInteger(all.maxDepth, 'maxDepth', 1, 30),
    maxKeys: checkInteger(all.maxKeys, 'maxKeys', 1, 10_000),
    cleanup: resolveCleanup(all.cleanup),
    cache: resolveCache(all.cache),
    preparedStatements: checkBoolean(all.preparedStatements, 'preparedStatements'),
    schema: checkSchema(all.schema),
    migrateFrom: resolveMigrateFrom(all.migrateFrom, secrets, cookie),
    onEvent: checkListener(all.onEvent),
  };
  // A getter that is not enumerable: no log, JSON or copy of the options carries the secrets along.
  return Object.freeze(Object.defineProperty(resolved, 'secrets', { get: () => secrets }) as ResolvedSessionOptions);
}

/** Milliseconds after which a session in use has its idle expiry moved; always less than its idle timeout. */
export function touchAfterOf(options: Pick<ResolvedSessionOptions, 'touchAfter'>, idleTimeout: number): number {
  const touchAfter = options.touchAfter ?? Math.max(MIN_TOUCH_AFTER, Math.floor(idleTimeout / 20));
  return touchAfter < idleTimeout ? touchAfter : Math.floor(idleTimeout / 2);
}

/**
 * How long a session lives that a sign-in asks for: at most `maxAbsoluteTimeout`, and idle no longer than it lives.
 *
 * @throws SessionConfigError for a duration that is none.
 */
export function lifetimeOf(
  options: ResolvedSessionOptions,
  login: Pick<LoginOptions, 'idleTimeout' | 'absoluteTimeout' | 'persistent'>,
): SessionLifetime {
  const defaults = options.lifetime;
  const { idleTimeout: idle = defaults.idleTimeout, absoluteTimeout: absolute = defaults.absoluteTimeout } = login;
  const { persistent = defaults.persistent } = login;
  const absoluteTimeout = Math.min(
    checkDuration(absolute, 'absoluteTimeout of login()', LIFETIME_RANGE),
    options.maxAbsoluteTimeout,
  );
  const idleTimeout = Math.min(checkDuration(idle, 'idleTimeout of login()', LIFETIME_RANGE), absoluteTimeout);
  return { idleTimeout, absoluteTimeout, persistent: checkBoolean(persistent, 'persistent of login()') };
}

function resolveLifetime(given: SessionOptions): SessionLifetime {
  const { absoluteTimeout, idleTimeout, persistent } = { ...DEFAULTS, ...given };
  const absolute = checkDuration(absoluteTimeout, 'absoluteTimeout', LIFETIME_RANGE);
  const idle = checkDuration(idleTimeout, 'idleTimeout', LIFETIME_RANGE);
  if (given.idleTimeout !== undefined && idle > absolute) {
    throw contradiction('idleTimeout', idleTimeout, 'must not be longer than absoluteTimeout', absoluteTimeout);
  }
  return Object.freeze({
    idleTimeout: Math.min(idle, absolute),
    absoluteTimeout: absolute,
    persistent: checkBoolean(persistent, 'persistent'),
  });
}

function resolveMaxAbsoluteTimeout(given: SessionOptions, { absoluteTimeout }: SessionLifetime): number {
  const { maxAbsoluteTimeout: maximum, absoluteTimeout: absolute } = { ...DEFAULTS, ...given };
  const milliseconds = checkDuration(maximum, 'maxAbsoluteTimeout', LIFETIME_RANGE);
  if (given.maxAbsoluteTimeout === undefined) return Math.max(milliseconds, absoluteTimeout);
  if (milliseconds >= absoluteTimeout) return milliseconds;
  throw contradiction('maxAbsoluteTimeout', maximum, 'must not be shorter than absoluteTimeout', absolute);
}

function resolveTouchAfter(given: SessionOptions, { idleTimeout }: SessionLifetime): number | undefined {
  if (given.touchAfter === undefined) return undefined;
  const milliseconds = checkDuration(given.touchAfter, 'touchAfter', TOUCH_RANGE);
  if (milliseconds < idleTimeout) return milliseconds;
  throw contradiction(
    'touchAfter',
    given.touchAfter,
    'must be shorter than idleTimeout',
    given.idleTimeout ?? idleTimeout,
  );
}

function resolveCleanup(cleanup: SessionCleanupOptions | false): ResolvedSessionOptions['cleanup'] {
  if (cleanup === false) return undefined;
  const given = { ...DEFAULTS.cleanup, ...readOwn(cleanup, 'cleanup', Object.keys(DEFAULTS.cleanup)) };
  return Object.freeze({
    interval: checkDuration(given.interval, 'cleanup.interval', CLEANUP_RANGE),
    batchSize: checkInteger(given.batchSize, 'cleanup.batchSize', 1, 100_000),
  });
}

function resolveCache(cache: SessionCacheOptions | false): ResolvedSessionOptions['cache'] {
  if (cache === false) return undefined;
  const given = { ...CACHE_DEFAULTS, ...readOwn(cache, 'cache', Object.keys(CACHE_DEFAULTS)) };
  return Object.freeze({
    maxSessions: checkInteger(given.maxSessions, 'cache.maxSessions', 1, 1_000_000),
    maxBytes: checkInteger(given.maxBytes, 'cache.maxBytes', 65_536, 2 ** 34),
    maxAge: checkDuration(given.maxAge, 'cache.maxAge', CACHE_RANGE),
  });
}

function checkSecrets(secrets: readonly string[] | undefined): readonly string[] {
  if (secrets === undefined) return Object.freeze([]);
  if (!Array.isArray(secrets) || secrets.length === 0) {
    throw new SessionConfigError(
      'secrets must be an array of at least one secret. Leave it out to keep the cookie unsigned.',
    );
  }
  const copy: readonly unknown[] = Array.from(secrets);
  return Object.freeze(copy.map((secret, index) => checkSecret(secret, `secrets[${index}]`)));
}

function checkSecret(secret: unknown, name: string): string {
  if (secret === undefined) throw new SessionConfigError(`${name} is undefined. Is its environment variable set?`);
  if (typeof secret !== 'string') throw new SessionConfigError(`${name} is not a string. ${SECRET_ADVICE}`);
  const characters = new Set(secret.trim());
  if (characters.size === 0) throw new SessionConfigError(`${name} is empty or blank. ${SECRET_ADVICE}`);
  if (characters.size === 1) throw new SessionConfigError(`${name} is one character, repeated. ${SECRET_ADVICE}`);
  if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
    throw new SessionConfigError(`${name} is shorter than ${MIN_SECRET_BYTES} bytes. ${SECRET_ADVICE}`);
  }
  return secret;
}

function checkSchema(schema: (new () => object) | undefined): (new () => object) | undefined {
  // An arrow function has no prototype, so it cannot be constructed.
  if (schema === undefined || (typeof schema === 'function' && typeof schema.prototype === 'object')) return schema;
  throw new SessionConfigError(`schema is ${describeValue(schema)}. Give a class with class-validator decorators.`);
}

function checkListener(onEvent: ResolvedSessionOptions['onEvent']): ResolvedSessionOptions['onEvent'] {
  if (onEvent === undefined || typeof onEvent === 'function') return onEvent;
  throw new SessionConfigError(`onEvent is ${describeValue(onEvent)}. Give a function.`);
}

function contradiction(name: string, value: Duration, rule: string, other: Duration): SessionConfigError {
  return new SessionConfigError(
    `${name} is ${describeValue(value)}, but it ${rule}, which is ${describeValue(other)}.`,
  );
}
