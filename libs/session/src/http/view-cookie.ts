import type { RequestSession } from '../core/request-session.js';
import type { ResolvedCookieOptions } from '../core/options.js';

/** Milliseconds: an `expires` that is computed anew for each request means the same timeout each time. */
const SECOND = 1_000;

const FIXED = ['httpOnly', 'secure', 'path', 'domain', 'sameSite', 'partitioned'] as const;

/** What `req.session.cookie` speaks for, and what it becomes when the session has gone on without it. */
type Lifetime = RequestSession['lifetime'];

/**
 * `req.session.cookie`: how long the session lives, in the words of express-session. `maxAge` is the idle timeout of this
 * session, as it is the time to live of a row there.
 */
export class ViewCookie {
  readonly #session: RequestSession;
  readonly #attributes: ResolvedCookieOptions;
  /** As it was when the request came, for `resetMaxAge`. */
  #original: Lifetime | undefined;
  /** Of a view that the session has left behind. */
  #last: Lifetime | undefined;

  constructor(session: RequestSession, attributes: ResolvedCookieOptions) {
    this.#session = session;
    this.#attributes = attributes;
  }

  /** Milliseconds without use after which the session ends; `null` where the cookie ends with the browser. */
  get maxAge(): number | null {
    const { idleTimeout, persistent } = this.#lifetime;
    return persistent ? idleTimeout : null;
  }

  set maxAge(value: unknown) {
    // As express-session: a cookie without an age ends with the browser, and its row lives as long as it did.
    if (value === null || value === undefined || value === false) this.#change({ persistent: false });
    else if (typeof value === 'number') this.#change({ idleTimeout: Math.round(value), persistent: true });
    else throw this.#refusal('cookie.maxAge is a number of milliseconds, or null');
  }

  get expires(): Date | null {
    const { maxAge } = this;
    return maxAge === null ? null : new Date(Date.now() + maxAge);
  }

  set expires(value: unknown) {
    if (value === null || value === undefined || value === false) this.maxAge = null;
    else if (value instanceof Date) this.maxAge = Math.round((value.getTime() - Date.now()) / SECOND) * SECOND;
    else throw this.#refusal('cookie.expires is a Date, or null');
  }

  get originalMaxAge(): number | null {
    return this.maxAge;
  }

  set originalMaxAge(value: unknown) {
    this.maxAge = value;
  }

  get httpOnly(): boolean {
    return true;
  }

  set httpOnly(value: unknown) {
    this.#keep('httpOnly', value);
  }

  get secure(): boolean {
    return this.#attributes.secure;
  }

  set secure(value: unknown) {
    this.#keep('secure', value);
  }

  get path(): string {
    return this.#attributes.path;
  }

  set path(value: unknown) {
    this.#keep('path', value);
  }

  get domain(): string | undefined {
    return this.#attributes.domain;
  }

  set domain(value: unknown) {
    this.#keep('domain', value);
  }

  get sameSite(): 'lax' | 'strict' | 'none' {
    return this.#attributes.sameSite;
  }

  set sameSite(value: unknown) {
    this.#keep('sameSite', value);
  }

  get partitioned(): boolean {
    return this.#attributes.partitioned;
  }

  set partitioned(value: unknown) {
    this.#keep('partitioned', value);
  }

  /** Takes over what another cookie says, or an object with some of its properties. */
  assign(other: object): void {
    // One of ours has an age, and always the attributes of the options.
    if (other instanceof ViewCookie) {
      this.#change(other.#lifetime);
      return;
    }
    const { maxAge, expires, originalMaxAge, ...rest } = other as Record<string, unknown>;
    for (const name of FIXED) if (rest[name] !== undefined) this.#keep(name, rest[name]);
    const age = maxAge === undefined ? originalMaxAge : maxAge;
    if (age !== undefined) this.maxAge = age;
    else if (expires !== undefined) this.expires = typeof expires === 'string' ? new Date(expires) : expires;
  }

  /** As it was before the request changed it. */
  reset(): void {
    if (this.#original) this.#change(this.#original);
  }

  /** From now on it tells what it told last. */
  leave(): void {
    // Where the session could not be loaded it tells nothing, now as later.
    if (!this.#session.failure) this.#last = this.#session.lifetime;
  }

  toJSON(): Record<string, unknown> {
    const { originalMaxAge, partitioned, expires, secure, httpOnly, domain, path, sameSite } = this;
    return { originalMaxAge, partitioned, expires, secure, httpOnly, domain, path, sameSite };
  }

  get #lifetime(): Lifetime {
    return this.#last ?? this.#session.lifetime;
  }

  #change(change: Partial<Lifetime>): void {
    const { idleTimeout, persistent } = this.#lifetime;
    if (this.#last) throw this.#refusal('the session has gone on without this cookie: set req.session.cookie');
    this.#original ??= { idleTimeout, persistent };
    this.#session.changeLifetime({ idleTimeout, persistent, ...change });
  }

  #keep(name: (typeof FIXED)[number], value: unknown): void {
    if (value === this[name] || (name === 'sameSite' && value === true && this.sameSite === 'strict')) return;
    throw this.#refusal(
      `cookie.${name} is the same for all sessions: set it in SessionModule.forRoot({ cookie: { … } })`,
    );
  }

  #refusal(detail: string) {
    return this.#session.refusal('SESSION_VALUE', detail);
  }
}
