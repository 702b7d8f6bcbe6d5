/** What a session holds when the application declares nothing: any key, any value. */
export type SessionData = Record<string, any>;

/** The keys of `T` that a session can hold: strings. */
export type SessionKey<T extends object> = keyof T & string;

/** Options of {@link Session.login}. Durations are milliseconds, or text such as `'30m'`, `'12h'`, `'14d'`. */
export interface LoginOptions<K extends string = string> {
  /** Keys that the signed-in session keeps. Default: none, so nothing planted before the sign-in survives it. */
  keep?: readonly K[];
  /** Idle timeout of this session alone (remember-me). Default: the module's. */
  idleTimeout?: number | string;
  /** Absolute timeout of this session alone, capped by `maxAbsoluteTimeout`. Default: the module's. */
  absoluteTimeout?: number | string;
  /** Whether the cookie outlives the browser. Default: the module's. */
  persistent?: boolean;
}

/** As much of TypeORM's `EntityManager` as the session needs. */
export interface TransactionManager {
  readonly queryRunner?: object;
}

/** Options of {@link Session.save}. */
export interface SaveOptions {
  /** The manager that `dataSource.transaction()` hands to its callback. Default: none, the changes are committed at once. */
  manager?: TransactionManager;
}

/**
 * The session of one request.
 *
 * Reads are synchronous and answered from memory. Plain writes (`set`, `delete`, `clear`, `pull`, `flash`) are kept until
 * the response and then merged per top-level key in one UPDATE; a response of 5xx discards them. What returns a promise
 * is written at once and stays.
 *
 * Every member that needs the row throws 503 `SESSION_UNAVAILABLE` where the database could not be asked.
 *
 * @typeParam T the keys and their values. Type arguments need no declaration merging: `Session<Shop>`.
 */
export interface Session<T extends object = SessionData> {
  /** The value of a key, or `undefined`. A change inside a returned object is noticed and saved. */
  get<K extends SessionKey<T>>(key: K): T[K] | undefined;
  /** The value of a key, or `fallback` where the session has none. */
  get<K extends SessionKey<T>>(key: K, fallback: Exclude<T[K], undefined>): Exclude<T[K], undefined>;

  /**
   * Sets a key. The value must be JSON: it is checked and serialised when the session is saved.
   *
   * @throws `SESSION_KEY` for a reserved or unusable key, `SESSION_VALUE` where the `schema` refuses the value,
   *   `SESSION_COMMITTED` after the response has begun.
   */
  set<K extends SessionKey<T>>(key: K, value: T[K]): void;

  has(key: SessionKey<T>): boolean;
  delete(key: SessionKey<T>): void;

  /** Deletes the keys that this request loaded or set. A key that another request adds meanwhile stays. */
  clear(): void;

  /** Reads a key and deletes it with this request's changes. For read-once across requests use {@link take}. */
  pull<K extends SessionKey<T>>(key: K): T[K] | undefined;

  keys(): SessionKey<T>[];
  entries(): [SessionKey<T>, T[SessionKey<T>]][];

  /** True where no session existed when the request came in. */
  readonly isNew: boolean;

  /** Public handle of the session: safe in lists and logs, survives regeneration. It is not the token. */
  readonly id: string;

  /** Who signed in with {@link login}, or `undefined`. */
  readonly userId: string | undefined;

  /** When the session ends if nobody uses it again, by the database's clock; `undefined` while it has no row. */
  readonly expiresAt: Date | undefined;

  /** Stores a message for the next request that reads it. */
  flash(kind: string, message: unknown): void;
  /** The messages of a kind; reading removes them. */
  flash(kind: string): unknown[];

  /**
   * Writes the changes made so far. They stay, also when the handler fails later.
   *
   * With a `manager`, they become part of its transaction: committed with it, or undone with it, and then the session is
   * again what it was before. Until that transaction ends, this session can be saved with the same manager and not be
   * written otherwise, and other requests of the same visitor wait to write; the response waits for its end.
   *
   * @throws `SESSION_TRANSACTION` where the manager has no transaction of the session's data source.
   */
  save(options?: SaveOptions): Promise<void>;

  /** Moves the idle expiry now, whatever `touchAfter` says; never past the absolute expiry. */
  touch(): Promise<void>;

  /**
   * A new token for the same session: same id, same data, pending changes included, in one UPDATE.
   * The old token is dead at once (OWASP ASVS 7.2.4).
   */
  regenerate(): Promise<void>;

  /** Signs a user in: new token, user id, and only the kept keys, in one UPDATE (OWASP ASVS 7.2.4). */
  login(userId: string, options?: LoginOptions<SessionKey<T>>): Promise<void>;

  /** Ends the session: the row is deleted and the cookie cleared. Unsaved changes are dropped. */
  destroy(): Promise<void>;

  /** Adds to a number, atomically across nodes; an absent key counts from 0. Returns the new value. */
  increment(key: SessionKey<T>, by?: number): Promise<number>;

  /** Appends to an array, atomically across nodes; an absent key starts an empty one. Returns the new length. */
  append<K extends SessionKey<T>>(key: K, ...items: ElementOf<T[K]>[]): Promise<number>;

  /** Sets a key that has no value yet, atomically across nodes. Returns whether this call set it. */
  setIfAbsent<K extends SessionKey<T>>(key: K, value: T[K]): Promise<boolean>;

  /** Reads a key and removes it, atomically across nodes: of many callers one gets the value (nonce, OAuth state). */
  take<K extends SessionKey<T>>(key: K): Promise<T[K] | undefined>;

  /**
   * Replaces a value by what `fn` makes of the committed one, and returns it. `fn` may run several times;
   * returning `undefined` deletes the key. It must not wait for an operation of the same session: that one waits for it.
   *
   * @throws 409 `SESSION_CONFLICT` where other requests kept winning.
   */
  update<K extends SessionKey<T>>(key: K, fn: UpdateFunction<T[K]>): Promise<T[K] | undefined>;
}

/** What {@link Session.update} calls, with the committed value. */
export type UpdateFunction<V> = (current: V | undefined) => V | undefined | Promise<V | undefined>;

/** What an array holds. */
export type ElementOf<A> = NonNullable<A> extends readonly (infer E)[] ? E : never;
