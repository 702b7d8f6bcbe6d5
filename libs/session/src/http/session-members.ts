/** What an operation calls when it is done. */
export type SessionCallback = (error?: any) => void;

/** `req.session.cookie`: how long this session lives. Its attributes are those of the module's options. */
export interface RequestSessionCookie {
  /**
   * Milliseconds without use after which this session ends (its idle timeout); `null` where the cookie ends with the browser.
   * It counts from the write at the end of the request. `SESSION_VALUE` for anything else.
   */
  get maxAge(): number | null;
  set maxAge(milliseconds: number | null | undefined | false);
  /** The same as a time. */
  get expires(): Date | null;
  set expires(date: Date | null | undefined | false);
  /** The same as `maxAge`. */
  originalMaxAge: number | null;
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly path: string;
  readonly domain: string | undefined;
  readonly sameSite: 'lax' | 'strict' | 'none';
  readonly partitioned: boolean;
}

/** The members of `req.session` beside the values of the session. Without a callback they return a promise. */
export interface RequestSessionMembers {
  /** Public handle of the session: safe in lists and logs, survives regeneration. It is not the token. */
  readonly id: string;
  get cookie(): RequestSessionCookie;
  set cookie(cookie: { maxAge?: number | null; expires?: Date | string | null });
  /** A new token and no values, in one UPDATE; `req.session` is another object from then on, and this one keeps what it shows. */
  regenerate(): Promise<void>;
  regenerate(callback: SessionCallback): this;
  /** Ends the session; `req.session` is another, empty one from then on. */
  destroy(): Promise<void>;
  destroy(callback: SessionCallback): this;
  /** Shows what is stored now, and drops what was not saved. `SESSION_GONE` where there is no session any more. */
  reload(): Promise<void>;
  reload(callback: SessionCallback): this;
  /** Writes the changes made so far: they have committed when it calls back. */
  save(): Promise<void>;
  save(callback: SessionCallback): this;
  /** Moves the idle expiry now. */
  touch(): Promise<void>;
  touch(callback: SessionCallback): this;
  /** Takes back what was done to the cookie's `maxAge` in this request. */
  resetMaxAge(): this;
}

/** The same on Fastify, with what its plugins go by. */
export interface FastifySessionMembers<T extends object = Record<string, any>> extends RequestSessionMembers {
  /** @param keep keys that stay */
  regenerate(keep?: readonly string[]): Promise<void>;
  regenerate(callback: SessionCallback): this;
  regenerate(keep: readonly string[], callback: SessionCallback): this;
  get<K extends keyof T & string>(key: K): T[K] | undefined;
  get(key: string): any;
  set<K extends keyof T & string>(key: K, value: T[K] | undefined): void;
  set(key: string, value: unknown): void;
  /** All values, as an object of its own. */
  data(): Partial<T>;
}
