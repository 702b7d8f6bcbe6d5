import type { SessionEvent } from './events.js';
import type { MigrateFrom, ResolvedMigrateFrom } from './legacy/legacy-sessions.js';

/** Milliseconds, or text with a unit: `'500ms'`, `'45s'`, `'30m'`, `'12h'`, `'14d'`. */
export type Duration = number | string;

/** How long one session lives. */
export interface SessionLifetime {
  /** Milliseconds without use after which the session ends. */
  readonly idleTimeout: number;
  /** Milliseconds after which the session ends however much it is used. */
  readonly absoluteTimeout: number;
  /** Whether the cookie outlives the browser. */
  readonly persistent: boolean;
}

/** Attributes of the session cookie (RFC 6265bis). It is always `HttpOnly`. */
export interface SessionCookieOptions {
  /** Default: `__Host-sid` where `secure` is true, `domain` absent and `path` `/`; else `sid`. */
  name?: string;
  /** Default: none, so the cookie goes to this host alone. */
  domain?: string;
  /** Default: `/`. */
  path?: string;
  /** Default: `lax`. `none` needs `secure`. */
  sameSite?: 'lax' | 'strict' | 'none';
  /** Default: true where `NODE_ENV` is `production`, else false. `true` always sends it, as TLS may end at a proxy. */
  secure?: boolean;
  /** A cookie of its own per top-level site (CHIPS). Default: false; needs `secure`. */
  partitioned?: boolean;
}

/** Scheduled removal of expired rows. */
export interface SessionCleanupOptions {
  /** Between two runs of one node. Default: 10 minutes. */
  interval?: Duration;
  /** Rows per DELETE; while there are more, up to ten times as many in DELETEs that are quick. Default: 1000. */
  batchSize?: number;
}

/** Sessions that a node remembers: see docs/cache.md. */
export interface SessionCacheOptions {
  /** Sessions at most; the least recently used go first. Default: 10000. */
  maxSessions?: number;
  /** Bytes of their data at most, about. Default: 64 MiB. */
  maxBytes?: number;
  /** After this long a session is loaded again in any case. Default, and at most: 2 seconds. */
  maxAge?: Duration;
}

/** Options of the session module that may come from a factory. Durations: see {@link Duration}. */
export interface SessionOptions {
  /**
   * Signs the cookie with HMAC-SHA-256: the first signs, all verify. At least 32 bytes each. Default: none, the cookie is not
   * signed; its 256 random bits are what protects the session, a signature spares the database the forged ones.
   */
  secrets?: readonly string[];
  cookie?: SessionCookieOptions;
  /** Without use for this long, a session ends. Default: 1 day, or `absoluteTimeout` where that is less. */
  idleTimeout?: Duration;
  /** After this long a session ends in any case. Default: 14 days. */
  absoluteTimeout?: Duration;
  /** What `login({ absoluteTimeout })` may ask for at most. Default: 400 days or `absoluteTimeout`, the larger. */
  maxAbsoluteTimeout?: Duration;
  /** Whether the cookie outlives the browser (`Max-Age`). Default: true. */
  persistent?: boolean;
  /** A session in use has its idle expiry moved at most this often. Default: the larger of 1 minute and idle / 20. */
  touchAfter?: Duration;
  /**
   * For each read or write of a session, the wait for a connection and repeated attempts included; `update(key, fn)` has one
   * for all that it reads and writes. Default: 2 seconds.
   */
  deadline?: Duration;
  /** Bytes of the data as JSON. Default: 65536. */
  maxBytes?: number;
  /** How deep arrays and objects may nest in a value. Default: 16, at most 30. */
  maxDepth?: number;
  /** Top-level keys of one session. Default: 256. */
  maxKeys?: number;
  /** Removal of expired rows; `false` switches the schedule off. */
  cleanup?: SessionCleanupOptions | false;
  /**
   * Remembers on each node what it has loaded: reads may then lag behind other nodes, writes never. `{}` has the defaults.
   * Default: false, every request asks the database.
   */
  cache?: SessionCacheOptions | false;
  /**
   * Prepares statements by name on each connection (PostgreSQL): quicker for a visitor alone, and for the database. Only
   * without a pooler in between, or with one that keeps track of them. Default: false.
   */
  preparedStatements?: boolean;
  /** A class with class-validator decorators: checks values when set and when a row is loaded. Default: none. */
  schema?: new () => object;
  /**
   * Takes over the sessions of another store, so that nobody is signed out: see docs/migration.md. Needs `secrets`.
   * Default: none.
   */
  migrateFrom?: MigrateFrom;
  /** Is told what happens to sessions. Default: warnings go to Nest's logger. */
  onEvent?: (event: SessionEvent) => void;
}

/** The cookie as the http ring needs it. */
export interface ResolvedCookieOptions {
  readonly name: string;
  readonly domain: string | undefined;
  readonly path: string;
  readonly sameSite: 'lax' | 'strict' | 'none';
  readonly secure: boolean;
  readonly partitioned: boolean;
}

/** Options with every default filled in and every duration in milliseconds. */
export interface ResolvedSessionOptions {
  /** Not enumerable: no inspection or log prints it. */
  readonly secrets: readonly string[];
  readonly cookie: ResolvedCookieOptions;
  readonly lifetime: SessionLifetime;
  readonly maxAbsoluteTimeout: number;
  /** `undefined`: the larger of 1 minute and a twentieth of the session's idle timeout. */
  readonly touchAfter: number | undefined;
  readonly deadline: number;
  readonly maxBytes: number;
  readonly maxDepth: number;
  readonly maxKeys: number;
  readonly cleanup: { readonly interval: number; readonly batchSize: number } | undefined;
  readonly cache: { readonly maxSessions: number; readonly maxBytes: number; readonly maxAge: number } | undefined;
  readonly preparedStatements: boolean;
  readonly schema: (new () => object) | undefined;
  readonly migrateFrom: ResolvedMigrateFrom | undefined;
  readonly onEvent: ((event: SessionEvent) => void) | undefined;
}
