import { randomUUID } from 'node:crypto';
import { applyAtomic } from './atomic.js';
import { describeError, SessionJoinError, type SessionErrorCode, type SessionFault } from './errors.js';
import type { LegacyLink } from './legacy/legacy-link.js';
import type { SessionLifetime } from './options.js';
import { touchAfterOf } from './resolve-options.js';
import { MOVED_KEY, type CookieInstruction, type Origin, type SessionContext } from './session-context.js';
import type {
  Applied,
  AtomicOperation,
  AtomicOutcome,
  Delta,
  LifetimeChange,
  Missed,
  SessionRef,
  SessionStore,
  StoredSession,
} from './store.js';
import { SessionTransaction } from './session-transaction.js';
import type { TransactionManager } from './session.js';
import { createToken, hashToken } from './token.js';

/** What a sign-in writes besides the new token; a beginning without a user has none. */
export type SignIn = { readonly userId: string | undefined; readonly keep: readonly string[] } & SessionLifetime;

/** An atomic operation that found its row. */
export type AtomicAnswer =
  | { readonly status: 'applied'; readonly value: string | undefined }
  | { readonly status: 'unfit'; readonly value: string | undefined; readonly version: number };

/** What a request may change of a session's lifetime. */
export type RowLifetime = Pick<SessionLifetime, 'idleTimeout' | 'persistent'>;

interface Row extends SessionRef {
  readonly userId: string | undefined;
  readonly lifetime: RowLifetime;
  readonly expiresAt: number;
  /** When the session ends at the latest, on this process's monotonic clock. */
  readonly absoluteEnd: number;
  /** When the idle expiry was moved last, on the same clock. */
  readonly touchedAt: number;
}

/**
 * The row behind one request's session: absent until the first write, and gone after `destroy`. Every write carries the
 * token that the row was opened with, and says in an error why it did not happen.
 */
export class SessionRow {
  readonly #context: SessionContext;
  readonly #cookieSent: boolean;
  /** Why this request must not write: its cookie would start a session over somebody's new one. */
  readonly #refusal: SessionErrorCode | undefined;
  #row: Row | undefined;
  #id: string | undefined;
  #cookie: CookieInstruction = { kind: 'keep' };
  /** What the lifetime becomes with the next write. */
  #wanted: RowLifetime | undefined;
  /** This request created the row or signed somebody in, so the absolute expiry is its own. */
  #hasBegun = false;
  #transaction: SessionTransaction | undefined;
  /** The session in another store that this one has moved from. */
  #legacy: LegacyLink | undefined;
  #movedToken: string | undefined;

  constructor(context: SessionContext, origin: Origin) {
    this.#context = context;
    this.#cookieSent = origin.status !== 'anonymous' || origin.cookieSent;
    if (origin.status === 'replaced') this.#refusal = 'SESSION_REPLACED';
    if (origin.status === 'ambiguous') this.#refusal = 'SESSION_AMBIGUOUS';
    if (origin.status === 'anonymous') this.#legacy = origin.legacy;
    if (origin.status !== 'live') return;
    this.#row = this.#rowOf(origin.session);
    this.#legacy = origin.legacy;
    this.#movedToken = origin.token;
    if (origin.token !== undefined) this.#issue(origin.token);
  }

  get exists(): boolean {
    return this.#row !== undefined;
  }

  /** Assigned at once, real with the row. */
  get id(): string {
    return this.#row?.id ?? (this.#id ??= randomUUID());
  }

  get userId(): string | undefined {
    return this.#row?.userId;
  }

  get expiresAt(): Date | undefined {
    return this.#row && new Date(this.#row.expiresAt);
  }

  /** As it is, or will be with the next write; without a row as the first write makes it. */
  get lifetime(): RowLifetime {
    return this.#wanted ?? this.#row?.lifetime ?? this.#context.options.lifetime;
  }

  /** `undefined` leaves it as it is. */
  changeLifetime(lifetime: RowLifetime | undefined): void {
    this.#wanted = lifetime;
  }

  /** Whether there is another lifetime to write. */
  get isLifetimeChanged(): boolean {
    return this.#row !== undefined && this.#lifetimeChange(this.#row) !== undefined;
  }

  get isTouchDue(): boolean {
    return this.#row !== undefined && this.#isDue(this.#row);
  }

  /** What the response has to tell the browser of the writes that have committed. */
  get cookie(): CookieInstruction {
    return this.#cookie;
  }

  get isJustMoved(): boolean {
    return this.#movedToken !== undefined;
  }

  get hasEndedLegacy(): boolean {
    return this.#legacy?.hasEnded ?? false;
  }

  /**
   * A session that has just moved is known to all requests of its visitor at once. Where another has signed in meanwhile,
   * the browser has a newer token by now or soon, and this one must not come after it.
   */
  async confirmToken(): Promise<void> {
    const row = this.#row;
    if (!row || this.#cookie.kind !== 'issue' || this.#cookie.token !== this.#movedToken) return;
    // Not told is told later: the old cookie still leads here.
    const found = await this.#context.store.find([row.tokenHash]).catch(() => []);
    if (found[0]?.status !== 'live') this.#cookie = { kind: 'keep' };
  }

  /** The transaction of the application that the row was saved in, until it ends. */
  get transaction(): SessionTransaction | undefined {
    return this.#transaction;
  }

  /** Merges a delta into the row, or inserts the row with it. */
  async write(delta: Delta, store = this.#store): Promise<void> {
    const row = this.#row;
    if (!row) return this.#insert(delta, undefined, store);
    const lifetime = this.#lifetimeChange(row);
    // A browser that is to keep its cookie for longer, or less long, has to be told. With the same token that could
    // arrive late and undo somebody's sign-in.
    const isToTell = lifetime !== undefined && lifetime.persistent !== row.lifetime.persistent;
    if (isToTell && this.#cookie.kind !== 'issue') return this.#replace(row, delta, undefined, store);
    const touchAfter = this.#touchAfter(row);
    const outcome = await store.update(row, lifetime ? { ...delta, lifetime } : delta, touchAfter);
    if (outcome.status !== 'applied') throw this.#missed(outcome);
    this.#retime(outcome, touchAfter);
    if (!lifetime) return;
    this.#relive(lifetime);
    if (this.#cookie.kind === 'issue') this.#issue(this.#cookie.token);
  }

  /** The same, as a part of the application's transaction. */
  async writeWithin(manager: TransactionManager, delta: Delta): Promise<SessionTransaction> {
    const transaction = this.#transaction ?? this.#join(manager);
    if (transaction.manager !== manager) throw this.#inTransaction();
    await this.write(delta, transaction.store);
    return transaction;
  }

  /** A new token, and with a sign-in a new owner; inserts where there is no row. */
  async renew(delta: Delta, signIn?: SignIn): Promise<void> {
    const row = this.#row;
    return row ? this.#replace(row, delta, signIn) : this.#insert(delta, signIn);
  }

  /** A new token and a new lifetime for what is kept, and no user. Where there is no row, the next write begins one. */
  async restart(delta: Delta, keep: readonly string[]): Promise<void> {
    const { lifetime } = this.#context.options;
    if (this.#row) await this.#replace(this.#row, delta, { userId: undefined, keep, ...lifetime });
    else this.#id = undefined;
  }

  /**
   * The row as it is now, for a request that wants to see what others have written.
   *
   * @returns its data
   */
  async reload(): Promise<string> {
    const row = this.#row;
    if (!row) throw this.#missed({ status: 'gone' });
    const [found] = await this.#store.find([row.tokenHash]);
    if (found?.status !== 'live') throw this.#missed({ status: found?.status === 'replaced' ? 'replaced' : 'gone' });
    this.#row = this.#rowOf(found.session);
    this.#wanted = undefined;
    return found.session.data;
  }

  async #replace(row: Row, delta: Delta, signIn: SignIn | undefined, store = this.#store): Promise<void> {
    const token = createToken();
    const tokenHash = hashToken(token);
    const lifetime = signIn ? undefined : this.#lifetimeChange(row);
    const replacement = { tokenHash, isUnsent: this.#isUnsent, login: signIn };
    const all = this.#legacy ? { ...delta, unset: [...delta.unset, MOVED_KEY] } : delta;
    const change = lifetime ? { ...all, lifetime } : all;
    const touchAfter = this.#touchAfter(row);
    const outcome = await store.replace(row, replacement, change, touchAfter);
    if (outcome.status !== 'applied') throw this.#missed(outcome);
    this.#row = { ...row, tokenHash };
    this.#retime(outcome, touchAfter);
    if (lifetime) this.#relive(lifetime);
    if (signIn) this.#begin(signIn);
    this.#issue(token);
    await this.#legacy?.end(true);
  }

  /** Deletes the row. A row that is gone already is what was asked for; one that changed hands is not ours to delete. */
  async remove(): Promise<void> {
    this.#throwRefusal();
    // First: what is ended halfway must not come back from there.
    await this.#legacy?.end();
    if (this.#row) {
      const outcome = await this.#store.delete(this.#row);
      if (outcome.status === 'replaced') throw this.#missed(outcome);
    }
    if (this.#cookieSent || this.#row) this.#cookie = { kind: 'expire' };
    this.#row = undefined;
    this.#id = undefined;
    this.#wanted = undefined;
    this.#hasBegun = false;
  }

  /** Moves the idle expiry where `touchAfter` milliseconds have passed. A row that is gone is no error here. */
  async touch(touchAfter?: number): Promise<void> {
    const row = this.#row;
    if (!row) return;
    const after = touchAfter ?? this.#throttleOf(row);
    const outcome = await this.#store.touch(row, after);
    if (outcome) this.#retime(outcome, after);
  }

  /** The committed value of a key and the version it had; `undefined` where there is no row. */
  async read(key: string, until?: number): Promise<{ value: string | undefined; version: number } | undefined> {
    if (!this.#row) return undefined;
    const outcome = await this.#store.read(this.#row, key, until);
    if (outcome.status !== 'read') throw this.#missed(outcome);
    return outcome;
  }

  /** @param unsaved JSON of the key in a session that has no row yet: the operation is then its INSERT. */
  async apply(operation: AtomicOperation, unsaved: string | undefined, until?: number): Promise<AtomicAnswer> {
    if (!this.#row) return this.#applyToNew(operation, unsaved);
    const outcome: AtomicOutcome = await this.#store.apply(this.#row, operation, until);
    if (outcome.status === 'gone' || outcome.status === 'replaced') throw this.#missed(outcome);
    return outcome;
  }

  async #applyToNew(operation: AtomicOperation, unsaved: string | undefined): Promise<AtomicAnswer> {
    const result = applyAtomic(operation, unsaved);
    if (!result.fits) return { status: 'unfit', value: unsaved, version: 0 };
    const { value } = result;
    const { maxBytes } = this.#context.options;
    if (value !== undefined && Buffer.byteLength(`{${JSON.stringify(operation.key)}:${value}}`) > maxBytes) {
      return { status: 'unfit', value: unsaved, version: 0 };
    }
    await this.#insert({ set: value === undefined ? {} : { [operation.key]: value }, unset: [] });
    return { status: 'applied', value: operation.kind === 'take' ? unsaved : value };
  }

  async #insert(delta: Delta, signIn?: SignIn, store = this.#store): Promise<void> {
    this.#throwRefusal();
    const token = createToken();
    const ref = { id: this.id, tokenHash: hashToken(token) };
    const lifetime = signIn ?? this.#firstLifetime;
    const { idleTimeout, absoluteTimeout, persistent } = lifetime;
    const userId = signIn?.userId;
    const session = { ...ref, userId, data: delta.set, idleTimeout, absoluteTimeout, persistent };
    const { expiresAt } = await store.create(session);
    this.#row = { ...ref, ...signedIn({ ...lifetime, userId }), expiresAt };
    this.#wanted = undefined;
    this.#hasBegun = true;
    this.#issue(token);
  }

  /** Where writes go that belong to no transaction of the application. */
  get #store(): SessionStore {
    if (this.#transaction) throw this.#inTransaction();
    return this.#context.store;
  }

  #join(manager: TransactionManager): SessionTransaction {
    const { store } = this.#context;
    if (!store.join) throw new SessionJoinError('the session store cannot join transactions');
    const transaction = new SessionTransaction(manager, store.join(manager));
    const [row, id, cookie, wanted, hasBegun] = [this.#row, this.#id, this.#cookie, this.#wanted, this.#hasBegun];
    transaction.onUndo(() => {
      this.#row = row;
      this.#id = id;
      this.#cookie = cookie;
      this.#wanted ??= wanted;
      this.#hasBegun = hasBegun;
    });
    this.#transaction = transaction;
    void transaction.ended.then(() => (this.#transaction = undefined));
    return transaction;
  }

  #inTransaction(): SessionFault {
    const detail =
      'until the one that it was saved in has ended, it can be saved with that manager and not be written otherwise';
    return this.#context.toError(describeError('SESSION_TRANSACTION', detail));
  }

  /** No browser has the token. One that was derived for a move other requests may have sent. */
  get #isUnsent(): boolean {
    return this.#cookie.kind === 'issue' && this.#cookie.token !== this.#movedToken;
  }

  /** The lifetime of a session that this request begins, with what it asked for. */
  get #firstLifetime(): SessionLifetime {
    const { lifetime, maxAbsoluteTimeout } = this.#context.options;
    const { idleTimeout, persistent } = this.lifetime;
    const absoluteTimeout = Math.min(Math.max(lifetime.absoluteTimeout, idleTimeout), maxAbsoluteTimeout);
    return { idleTimeout: Math.min(idleTimeout, absoluteTimeout), absoluteTimeout, persistent };
  }

  #lifetimeChange(row: Row): LifetimeChange | undefined {
    const wanted = this.#wanted;
    if (!wanted) return undefined;
    const { idleTimeout, persistent } = row.lifetime;
    if (wanted.idleTimeout === idleTimeout && wanted.persistent === persistent) return undefined;
    if (!this.#hasBegun || wanted.idleTimeout <= row.absoluteEnd - performance.now()) return wanted;
    return { ...wanted, absoluteTimeout: this.#firstLifetime.absoluteTimeout };
  }

  /** The row has another lifetime now. */
  #relive({ idleTimeout, persistent, absoluteTimeout }: LifetimeChange): void {
    const absoluteEnd = absoluteTimeout === undefined ? this.#row!.absoluteEnd : performance.now() + absoluteTimeout;
    this.#row = { ...this.#row!, lifetime: { idleTimeout, persistent }, absoluteEnd, touchedAt: performance.now() };
    this.#wanted = undefined;
  }

  #begin(signIn: SignIn): void {
    this.#row = { ...this.#row!, ...signedIn(signIn) };
    this.#wanted = undefined;
    this.#hasBegun = true;
  }

  #issue(token: string): void {
    const { lifetime, absoluteEnd } = this.#row!;
    // What is left, and not what was granted: a regeneration prolongs nothing.
    const maxAge = lifetime.persistent ? (absoluteEnd - performance.now()) / 1000 : undefined;
    this.#cookie = { kind: 'issue', token, maxAge };
  }

  #rowOf(stored: StoredSession): Row {
    const { id, tokenHash, userId, idleTimeout, persistent, expiresAt } = stored;
    const countedAt = stored.countedAt ?? performance.now();
    return {
      id,
      tokenHash,
      userId,
      lifetime: { idleTimeout, persistent },
      expiresAt,
      absoluteEnd: countedAt + stored.absoluteRemaining,
      touchedAt: countedAt - stored.sinceTouched,
    };
  }

  /** A write moves the idle expiry where that is due, so afterwards it is not. */
  #retime({ expiresAt }: Applied, touchAfter: number): void {
    const touchedAt = touchAfter === Infinity ? this.#row!.touchedAt : performance.now();
    this.#row = { ...this.#row!, expiresAt, touchedAt };
  }

  #isDue(row: Row): boolean {
    return performance.now() - row.touchedAt >= this.#throttleOf(row);
  }

  /**
   * What a write is told. Mostly it is not due, as the row itself has said when it was loaded, and then the statement need not
   * ask: two conditions fewer are a tenth of what the server spends on it.
   */
  #touchAfter(row: Row): number {
    return this.#isDue(row) ? this.#throttleOf(row) : Infinity;
  }

  #throttleOf({ lifetime }: Row): number {
    return touchAfterOf(this.#context.options, lifetime.idleTimeout);
  }

  #throwRefusal(): void {
    if (this.#refusal) throw this.#context.toError(describeError(this.#refusal));
  }

  #missed(outcome: Missed): SessionFault {
    const code = outcome.status === 'replaced' ? 'SESSION_REPLACED' : 'SESSION_GONE';
    return this.#context.toError(describeError(code));
  }
}

/** What begins anew with a row, and with a sign-in. */
function signedIn({
  userId,
  idleTimeout,
  absoluteTimeout,
  persistent,
}: SessionLifetime & Pick<Row, 'userId'>): Pick<Row, 'userId' | 'lifetime' | 'absoluteEnd' | 'touchedAt'> {
  const now = performance.now();
  return { userId, lifetime: { idleTimeout, persistent }, absoluteEnd: now + absoluteTimeout, touchedAt: now };
}
