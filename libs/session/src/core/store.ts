import type { SessionLifetime } from './options.js';
import type { ShortValues } from './short-values.js';

/** JSON text of session values by top-level key. */
export type JsonByKey = Readonly<Record<string, string>>;

/** A live session as a store hands it out. Durations are milliseconds, by the database's clock alone. */
export interface StoredSession extends Pick<SessionLifetime, 'idleTimeout' | 'persistent'> {
  readonly id: string;
  readonly tokenHash: Buffer;
  readonly userId: string | undefined;
  /** Valid JSON text of an object. Parsed by who needs it, so that shared loads share no objects. */
  readonly data: string;
  /** What requests that are given the same session need not parse each for itself. The cache sets it; a store leaves it out. */
  readonly shortValues?: ShortValues;
  /** Since the epoch: the earlier of idle and absolute expiry. */
  readonly expiresAt: number;
  /**
   * When the durations below were counted, on this process's monotonic clock (`performance.now()`). The cache sets it, so that
   * one object serves many requests; a store leaves it out: they were counted just now.
   */
  readonly countedAt?: number;
  /** Left until `expiresAt` when the statement ran. */
  readonly remaining: number;
  /** Left of the absolute lifetime when the statement ran. */
  readonly absoluteRemaining: number;
  /** Passed since the session was last touched when the statement ran. */
  readonly sinceTouched: number;
}

/** What a store knows of a token's hash. A hash that it does not know has no entry. */
export type Found =
  | { readonly status: 'live'; readonly session: StoredSession }
  /** Of the tokens that were replaced, it is the last that was sent, and that was within the last 30 seconds. */
  | { readonly status: 'replaced' }
  /** Another program wrote there what is no session: data that is no JSON object, or a time that is none. */
  | { readonly status: 'unreadable'; readonly id: string };

/** A write belongs to the token that opened it: both are in the WHERE of every statement. */
export interface SessionRef {
  readonly id: string;
  readonly tokenHash: Buffer;
}

/** A session to be inserted. */
export interface NewSession extends SessionRef, SessionLifetime {
  readonly userId: string | undefined;
  readonly data: JsonByKey;
}

/** Change of data, per top-level key. A key is in one of the two at most. */
export interface Delta {
  readonly set: JsonByKey;
  readonly unset: readonly string[];
  /** Another lifetime for this session (remember-me), which begins with this write. */
  readonly lifetime?: LifetimeChange;
}

/** The idle expiry is set anew, earlier or later than it was, but never past the absolute expiry. */
export interface LifetimeChange extends Pick<SessionLifetime, 'idleTimeout' | 'persistent'> {
  /** Only in the request that created the session or signed somebody in: sets the absolute expiry anew as well. */
  readonly absoluteTimeout?: number;
}

/** New token, and for a sign-in a new owner and lifetime. */
export interface Replacement {
  readonly tokenHash: Buffer;
  /** The token that goes was made by this very request: no browser has it, so the previous one stays the previous one. */
  readonly isUnsent: boolean;
  /**
   * Only a sign-in has it, or another beginning: it sets the user or, with `undefined`, takes the user away; it keeps the
   * named keys alone, and starts a new absolute lifetime.
   */
  readonly login?: { readonly userId: string | undefined; readonly keep: readonly string[] } & SessionLifetime;
}

/** An operation that reads and writes one key in one step. Values are JSON text. */
export type AtomicOperation =
  | { readonly kind: 'increment'; readonly key: string; readonly by: number }
  /** `items` is the JSON text of an array. */
  | { readonly kind: 'append'; readonly key: string; readonly items: string }
  | { readonly kind: 'setIfAbsent'; readonly key: string; readonly value: string }
  | { readonly kind: 'take'; readonly key: string }
  /** Sets (or with `undefined` deletes) the key if the row still has this `version`. */
  | {
      readonly kind: 'compareAndSet';
      readonly key: string;
      readonly value: string | undefined;
      readonly version: number;
    };

/**
 * Why a write found no row to write: the row is absent or expired (`gone`), or its token was replaced (`replaced`).
 * A store says so only after it looked.
 */
export type Missed = { readonly status: 'gone' } | { readonly status: 'replaced' };

/** `expiresAt`: milliseconds since the epoch, as the row has it now. */
export type Applied = { readonly status: 'applied'; readonly expiresAt: number };

/** For `take` the `value` is the one removed, for all others the one now stored; `undefined` is no value. */
export type AtomicOutcome =
  | { readonly status: 'applied'; readonly value: string | undefined }
  /** The row is there and its value did not fit the operation: wrong type, too large, present already, absent, or newer. */
  | { readonly status: 'unfit'; readonly value: string | undefined; readonly version: number }
  | Missed;

/** The committed JSON text of one key, and the version of the row that had it. */
export type ReadValue = { readonly status: 'read'; readonly value: string | undefined; readonly version: number };

/** Whether sessions can be read and written. `reason`: an SQLSTATE, an errno, `deadline`, or what is wrong in a word or two. */
export type StoreHealth = { readonly status: 'up' } | { readonly status: 'down'; readonly reason: string };

/** How a transaction of the application ended. */
export type TransactionEnd = 'committed' | 'rolledBack' | 'unknown';

/** A store whose writes are part of a transaction of the application. */
export interface JoinedStore {
  readonly store: SessionStore;
  /** Settles when the transaction has ended. Never rejects. */
  readonly ended: Promise<TransactionEnd>;
}

/**
 * Where sessions are kept. Each method is one conditional step whose outcome is read, decided by the database's
 * clock. Absence is a value; every failure is a {@link SessionStoreError}.
 */
export interface SessionStore {
  /** Refuses to start with a sentence where the table cannot be used. */
  check(): Promise<void>;

  /** INSERT only: a token or id that exists already is never adopted, it is a `refused` failure. */
  create(session: NewSession): Promise<Applied>;

  /** Looks up all hashes in one statement; unknown, expired and ended ones are left out. */
  find(tokenHashes: readonly Buffer[]): Promise<Found[]>;

  /** The live session that `find` would answer from memory for this one hash. A store without it asks for each. */
  peek?(tokenHash: Buffer): StoredSession | undefined;

  /**
   * The committed value of one key and the row's version, for compare-and-set. Every write but a touch changes the version.
   *
   * @param until when the operation that this call is a part of has to be over, on the monotonic clock (`performance.now()`).
   *   Default: the call has the whole deadline of the store.
   */
  read(ref: SessionRef, key: string, until?: number): Promise<ReadValue | Missed>;

  /**
   * Merges a delta per top-level key. Never creates a row. Moves the idle expiry only where `touchAfter` milliseconds
   * have passed since it was moved last (`Infinity`: it is known that this is not due), or where the delta has another lifetime.
   */
  update(ref: SessionRef, delta: Delta, touchAfter: number): Promise<Applied | Missed>;

  /** Moves the idle expiry, if `touchAfter` milliseconds have passed since it was moved last. `undefined`: not moved. */
  touch(ref: SessionRef, touchAfter: number): Promise<Applied | undefined>;

  /**
   * Replaces the token in place, with the delta in the same statement. The old one only ever refuses from then on. A token
   * that exists already is a `refused` failure. `touchAfter` as of {@link update}.
   */
  replace(ref: SessionRef, replacement: Replacement, delta: Delta, touchAfter: number): Promise<Applied | Missed>;

  /**
   * Reads and writes one key in one step; moves no expiry. What would make the data larger than the store's `maxBytes` is
   * `unfit`, but what is larger already may shrink.
   *
   * @param until as of {@link read}.
   */
  apply(ref: SessionRef, operation: AtomicOperation, until?: number): Promise<AtomicOutcome>;

  delete(ref: SessionRef): Promise<{ readonly status: 'deleted' } | Missed>;

  /**
   * Writes on the connection of a transaction that the application has begun. A store without it refuses
   * `save({ manager })`.
   *
   * @param manager what the application gave to `save()`.
   * @throws SessionJoinError where the manager has no transaction of this store's database.
   */
  join?(manager: object): JoinedStore;

  /**
   * Whether sessions can be read and written at this moment, without writing one. Never throws. Default: a look-up of a
   * token that does not exist.
   */
  health?(): Promise<StoreHealth>;

  /** Gives back what the store opened for itself. */
  close?(): Promise<void>;

  /** Deletes at most `limit` expired rows, and never one that was extended meanwhile. Returns how many. */
  deleteExpired(limit: number): Promise<number>;
}
