import { applyAtomic, MAX_COUNTER } from './atomic.js';
import {
  describeError,
  SessionConfigError,
  SessionJoinError,
  SessionStoreError,
  STORE_CODES,
  type SessionErrorCode,
  type SessionFault,
} from './errors.js';
import { checkKey, JsonProfileError, propertyPath, serialize } from './json-profile.js';
import { lifetimeOf } from './resolve-options.js';
import { MOVED_KEY, type CookieInstruction, type Origin, type SessionContext } from './session-context.js';
import { OperationQueue, type Turn, type Work } from './operation-queue.js';
import { SessionRow, type AtomicAnswer, type RowLifetime } from './session-row.js';
import { parseValue, SessionLimitError, SessionValues } from './session-values.js';
import type { ShortValues } from './short-values.js';
import type { LoginOptions, SaveOptions, Session, TransactionManager } from './session.js';
import type { AtomicOperation, Delta, JsonByKey } from './store.js';

const FLASH = '$flash';
const NO_VALUES: ReadonlyMap<string, string | undefined> = new Map();
const NOTHING: Delta = { set: Object.create(null) as JsonByKey, unset: [] };

/**
 * Attempts of `update(key, fn)` before it answers 409, where the deadline does not end it first, and the longest pause before
 * the next one, in milliseconds.
 */
const UPDATE_ATTEMPTS = 50;
const UPDATE_PAUSE = 100;

/** Milliseconds, as of the options. */
const SHORTEST_TIMEOUT = 100;

type FlashMessages = Record<string, unknown[]>;

/** Changes that an operation took out of memory when it was called, so that what comes later is not part of it. */
interface Taken {
  /** Where they came from. */
  readonly values: SessionValues;
  /** `undefined`: there were none, or they are in the row. */
  delta: Delta | undefined;
  /** JSON of their keys as the row had it. */
  readonly before: ReadonlyMap<string, string | undefined>;
}

/** The session of one request: its values in memory, its row behind, and the operations between them in call order. */
export class RequestSession implements Session {
  readonly #context: SessionContext;
  readonly #row: SessionRow;
  readonly #failure: SessionFault | undefined;
  readonly #wasNew: boolean;
  #values: SessionValues;
  #isLookedAt = false;
  #isClosed = false;
  /** Made with the first operation: most requests have none. */
  #queue: OperationQueue | undefined;

  constructor(context: SessionContext, origin: Origin) {
    this.#context = context;
    this.#row = new SessionRow(context, origin);
    this.#failure = origin.status === 'failed' ? origin.failure : undefined;
    this.#wasNew = origin.status !== 'live';
    const stored = origin.status === 'live' ? origin.session : undefined;
    this.#values = this.#valuesOf(stored?.data, stored?.shortValues);
  }

  get isNew(): boolean {
    this.#look();
    return this.#wasNew;
  }

  get id(): string {
    this.#look();
    return this.#row.id;
  }

  get userId(): string | undefined {
    this.#look();
    return this.#row.userId;
  }

  get expiresAt(): Date | undefined {
    this.#look();
    return this.#row.expiresAt;
  }

  get(key: string, fallback?: unknown): any {
    this.#look();
    const value = isReserved(key) ? undefined : this.#values.get(key);
    return value === undefined ? fallback : value;
  }

  has(key: string): boolean {
    this.#look();
    return !isReserved(key) && this.#values.has(key);
  }

  keys(): string[] {
    this.#look();
    return this.#values.keys().filter((key) => !isReserved(key));
  }

  entries(): [string, any][] {
    return this.keys().map((key) => [key, this.#values.get(key)]);
  }

  set(key: string, value: unknown): void {
    this.#openForChange();
    this.#checkKey(key);
    if (value === undefined) return this.#values.delete(key);
    this.#checkSchema(key, value);
    this.#values.set(key, value);
  }

  delete(key: string): void {
    this.#openForChange();
    if (!isReserved(key)) this.#values.delete(key);
  }

  clear(): void {
    this.#openForChange();
    // The mark stays: it is not data.
    this.#values.clear(MOVED_KEY);
  }

  pull(key: string): any {
    const value = this.get(key);
    this.delete(key);
    return value;
  }

  flash(kind: string, message: unknown): void;
  flash(kind: string): unknown[];
  flash(kind: string, message?: unknown): unknown[] | void {
    this.#look();
    this.#openForChange();
    this.#checkKey(kind);
    const all = new Map(Object.entries((this.#values.get(FLASH) ?? {}) as FlashMessages));
    const messages = all.get(kind) ?? [];
    all.delete(kind);
    if (message !== undefined) all.set(kind, [...messages, message]);
    else if (messages.length === 0) return [];
    if (all.size > 0) this.#values.set(FLASH, Object.fromEntries(all));
    else this.#values.delete(FLASH);
    return message === undefined ? messages : undefined;
  }

  save({ manager }: SaveOptions = {}): Promise<void> {
    // The browser cannot be told any more, should it have to be.
    if (this.#isClosed) this.#row.changeLifetime(undefined);
    return this.#run('save', async (turn) => {
      const taken = this.#take();
      await turn;
      await (manager ? this.#saveWithin(manager, taken) : this.#save(taken));
    });
  }

  touch(): Promise<void> {
    return this.#run('touch', async (turn) => {
      await turn;
      await this.#row.touch(0);
    });
  }

  regenerate(): Promise<void> {
    return this.#runWithCookie('regenerate', async (turn) => {
      const taken = this.#take();
      await turn;
      await this.#write(taken, (delta) => this.#row.renew(delta));
    });
  }

  login(userId: string, options: LoginOptions = {}): Promise<void> {
    return this.#runWithCookie('login', async (turn) => {
      if (typeof userId !== 'string' || userId === '' || userId.length > 255) {
        throw this.#error('SESSION_VALUE', 'login() needs the user id as text of 1 to 255 characters');
      }
      serialize(userId, 'the user id', this.#context.options);
      const keep = options.keep ?? [];
      const signIn = { userId, keep, ...lifetimeOf(this.#context.options, options) };
      const taken = this.#take(keep);
      taken.values.retain(keep);
      await turn;
      await this.#write(taken, (delta) => this.#row.renew(delta, signIn));
    });
  }

  /**
   * What express-session calls regenerating: a new token, and of the data the kept keys alone; nobody is signed in. In one
   * UPDATE, as {@link login}. A session without a row has none afterwards either.
   */
  restart(keep: readonly string[] = []): Promise<void> {
    return this.#runWithCookie('regenerate', async (turn) => {
      const taken = this.#take(keep);
      taken.values.retain(keep);
      this.#row.changeLifetime(undefined);
      await turn;
      // What is kept of a session that has no row waits for the first write.
      if (!this.#row.exists) giveBack(taken);
      if (!this.#row.exists) taken.delta = undefined;
      await this.#write(taken, (delta) => this.#row.restart(delta, keep));
    });
  }

  /** Shows the session as it is in the store now. What this request has changed and not saved is dropped. */
  reload(): Promise<void> {
    return this.#run('reload', async (turn) => {
      await turn;
      this.#values = this.#valuesOf(await this.#row.reload());
    });
  }

  /** Its idle timeout and whether its cookie outlives the browser: as it is, or will be with the next write. */
  get lifetime(): RowLifetime {
    this.#look();
    return this.#row.lifetime;
  }

  /** From the next write on. It is written at the response at the latest, where there is a row; else with the first write. */
  changeLifetime({ idleTimeout, persistent }: RowLifetime): void {
    this.#openForChange();
    if (!Number.isSafeInteger(idleTimeout) || idleTimeout < SHORTEST_TIMEOUT) {
      throw this.#error(
        'SESSION_VALUE',
        `an idle timeout is a whole number of at least ${SHORTEST_TIMEOUT} milliseconds`,
      );
    }
    const { maxAbsoluteTimeout } = this.#context.options;
    this.#row.changeLifetime({ idleTimeout: Math.min(idleTimeout, maxAbsoluteTimeout), persistent });
  }

  destroy(): Promise<void> {
    return this.#runWithCookie('destroy', async (turn) => {
      // Now, and not when the row is deleted: what is set from here on belongs to the next session.
      this.#values = this.#valuesOf(undefined);
      await turn;
      await this.#row.remove();
    });
  }

  increment(key: string, by = 1): Promise<number> {
    return this.#run('increment', async (turn) => {
      if (!Number.isFinite(by)) throw this.#error('SESSION_VALUE', 'increment() needs a finite number to add');
      const answer = await this.#apply({ kind: 'increment', key, by }, turn);
      if (answer.status === 'applied') return Number(answer.value);
      if (answer.value === undefined && Math.abs(by) <= MAX_COUNTER) throw this.#noRoom('increment', key);
      throw this.#error('SESSION_VALUE', `increment() needs a number within ±(2^53 - 1) at ${pathOf(key)}`);
    });
  }

  append(key: string, ...items: unknown[]): Promise<number> {
    return this.#run('append', async (turn) => {
      const answer = await this.#apply({ kind: 'append', key, items: this.#serialize(key, items) }, turn);
      if (answer.status === 'applied') return (JSON.parse(answer.value!) as unknown[]).length;
      throw this.#error('SESSION_VALUE', `append() needs an array at ${pathOf(key)}, and room for more (maxBytes)`);
    });
  }

  setIfAbsent(key: string, value: unknown): Promise<boolean> {
    return this.#run('setIfAbsent', async (turn) => {
      this.#checkSchema(key, value);
      const operation = { kind: 'setIfAbsent', key, value: this.#serialize(key, value) } as const;
      let answer = await this.#apply(operation, turn);
      const until = performance.now() + this.#context.options.deadline;
      while (answer.status === 'unfit' && answer.value === undefined) {
        if (performance.now() >= until) throw this.#error('SESSION_CONFLICT');
        const { version } = answer;
        answer = await this.#apply(operation, undefined, until);
        // Absent, refused, and nothing has changed: there is no room. Otherwise it was taken away in between.
        if (answer.status === 'unfit' && answer.version === version) throw this.#noRoom('setIfAbsent', key);
      }
      return answer.status === 'applied';
    });
  }

  take(key: string): Promise<any> {
    return this.#run('take', async (turn) => {
      const taken = this.#takeKey(key);
      await turn;
      // Nothing to take, and nothing to insert for it.
      if (!this.#row.exists && !taken.delta) return undefined;
      const answer = await this.#applyTo(taken, { kind: 'take', key });
      return answer.status === 'applied' ? parseValue(answer.value) : undefined;
    });
  }

  update(key: string, fn: (current: any) => unknown): Promise<any> {
    return this.#run('update', async (turn) => {
      const taken = this.#takeKey(key);
      await turn;
      try {
        return await this.#update(taken, key, fn);
      } finally {
        giveBack(taken);
      }
    });
  }

  /** Whether the request depends on its session: decides about `Vary` and the touch. */
  get isLookedAt(): boolean {
    return this.#isLookedAt;
  }

  /** Nothing was done to it that has to be written, nor an object handed out that may have been changed since. */
  get isUnchanged(): boolean {
    return !this.#queue && !this.#values.isTracked && !this.#row.isLifetimeChanged && !this.#row.isJustMoved;
  }

  /** Why the session could not be loaded, if it could not. */
  get failure(): SessionFault | undefined {
    return this.#failure;
  }

  /** The first operation that failed, awaited or not. */
  get rejected(): SessionFault | undefined {
    return this.#queue?.rejected;
  }

  get cookie(): CookieInstruction {
    return this.#row.cookie;
  }

  /** It has moved here from another store in this request or just before, and its browser has yet to be told. */
  get isJustMoved(): boolean {
    return this.#row.isJustMoved;
  }

  /** Whether the browser can forget the cookie of the store that the session has moved from. */
  get hasEndedLegacy(): boolean {
    return this.#row.hasEndedLegacy;
  }

  /** Settles whether the browser is told. Never rejects. */
  confirmToken(): Promise<void> {
    return this.#row.confirmToken();
  }

  /** Whether there is a session, for those who cannot go on without one. */
  get exists(): boolean {
    this.#look();
    return this.#row.exists;
  }

  /** The response begins: from now on nothing that needs a cookie or another write at the edge. */
  close(): void {
    this.#isClosed = true;
  }

  /** Settles with what the response has to wait for; `undefined` where there is nothing. Never rejects. */
  get running(): Promise<unknown> | undefined {
    return this.#queue?.running ?? this.#row.transaction?.waitForEnd(this.#context.options.deadline);
  }

  /** Writes what the request changed and did not save, or moves the expiry; `undefined` where there is nothing to do. */
  writeRest(): Promise<void> | undefined {
    if (this.#failure) return undefined;
    if (this.#row.transaction) {
      return Promise.reject(this.#error('SESSION_TRANSACTION', 'it had not ended when the response was to begin'));
    }
    let taken: Taken;
    try {
      taken = this.#take();
    } catch (error) {
      return Promise.reject(this.#translate('save', error));
    }
    if (taken.delta || this.#row.isLifetimeChanged) return this.#translated('save', () => this.#writeTaken(taken));
    return this.#isLookedAt && this.#row.isTouchDue ? this.#touchQuietly() : undefined;
  }

  /** A touch that fails is an event and nothing more: the response does not depend on it. */
  async #touchQuietly(): Promise<void> {
    try {
      await this.#row.touch();
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      this.#context.emit({ type: 'store-failed', operation: 'touch', reason: error.reason });
    }
  }

  /** For operations whose outcome the browser has to be told. */
  #runWithCookie<R>(operation: string, work: Work<R>): Promise<R> {
    return this.#run(operation, this.#isClosed ? () => this.#refuseLate() : work);
  }

  /** Starts an operation: what it takes along it takes at once, and what it writes it writes in its turn. */
  #run<R>(operation: string, work: Work<R>): Promise<R> {
    const needsCookie = this.#isClosed && !this.#row.exists;
    return (this.#queue ??= new OperationQueue()).start((turn) =>
      this.#translated(operation, () => (needsCookie ? this.#refuseLate() : work(turn))),
    );
  }

  async #translated<R>(operation: string, work: () => Promise<R>): Promise<R> {
    try {
      this.#look();
      return await work();
    } catch (error) {
      throw this.#translate(operation, error);
    }
  }

  #translate(operation: string, error: unknown): unknown {
    if (error instanceof JsonProfileError) return this.#error('SESSION_VALUE', `${error.path} ${error.reason}`);
    if (error instanceof SessionLimitError) return this.#error('SESSION_VALUE', error.message);
    if (error instanceof SessionJoinError) return this.#error('SESSION_TRANSACTION', error.message);
    if (error instanceof SessionConfigError) return this.#error('SESSION_VALUE', error.message);
    if (!(error instanceof SessionStoreError)) return error;
    this.#context.emit({ type: 'store-failed', operation, reason: error.reason });
    return this.#error(STORE_CODES[error.failure]);
  }

  async #save(taken: Taken): Promise<void> {
    if (taken.delta || this.#row.isLifetimeChanged) await this.#writeTaken(taken);
  }

  #writeTaken(taken: Taken): Promise<void> {
    return this.#write(taken, (delta) => this.#row.write(delta));
  }

  async #saveWithin(manager: TransactionManager, taken: Taken): Promise<void> {
    if (!taken.delta && !this.#row.isLifetimeChanged) return;
    const transaction = await this.#write(taken, (delta) => this.#row.writeWithin(manager, delta));
    transaction.onUndo(() => taken.values.revert(taken.before));
  }

  /** Writes what was taken. Where that fails it is pending again: a stream may save it later. */
  async #write<R>(taken: Taken, write: (delta: Delta) => Promise<R>): Promise<R> {
    try {
      const result = await write(taken.delta ?? NOTHING);
      taken.delta = undefined;
      return result;
    } finally {
      giveBack(taken);
    }
  }

  async #apply(operation: AtomicOperation, turn: Turn, until?: number): Promise<AtomicAnswer> {
    const taken = this.#takeKey(operation.key);
    taken.values.checkRoomFor(operation.key);
    this.#checkOutcome(operation, taken.values.get(operation.key));
    await turn;
    return this.#applyTo(taken, operation, until);
  }

  /** An unsaved change of the key goes into the row first, or, where there is none, into its INSERT. */
  async #applyTo(taken: Taken, operation: AtomicOperation, until?: number): Promise<AtomicAnswer> {
    const { key } = operation;
    if (this.#row.exists) await this.#save(taken);
    try {
      const answer = await this.#row.apply(operation, taken.delta?.set[key], until);
      if (answer.status === 'applied') taken.delta = undefined;
      if (!taken.delta) taken.values.absorb(key, operation.kind === 'take' ? undefined : answer.value);
      return answer;
    } finally {
      giveBack(taken);
    }
  }

  async #update(taken: Taken, key: string, fn: (current: unknown) => unknown): Promise<unknown> {
    if (this.#row.exists) await this.#save(taken);
    // One for all that it reads and writes, an unsaved change before it aside; the application's own time does not count.
    let until = performance.now() + this.#context.options.deadline;
    for (let attempt = 0; attempt < UPDATE_ATTEMPTS && performance.now() < until; attempt++) {
      const read = await this.#row.read(key, until);
      const current = parseValue(read ? read.value : taken.delta?.set[key]);
      const asked = performance.now();
      const next = await fn(current);
      until += performance.now() - asked;
      if (next === undefined && current === undefined) return undefined;
      if (next !== undefined) this.#checkSchema(key, next);
      if (current === undefined) taken.values.checkRoomFor(key);
      const value = next === undefined ? undefined : this.#serialize(key, next);
      const version = read?.version ?? 0;
      const answer = await this.#applyTo(taken, { kind: 'compareAndSet', key, value, version }, until);
      if (answer.status === 'applied') return parseValue(answer.value);
      if (answer.version === version) throw this.#noRoom('update', key);
      await pause(Math.random() * Math.min(UPDATE_PAUSE, 5 * 2 ** attempt));
    }
    throw this.#error('SESSION_CONFLICT');
  }

  #takeKey(key: string): Taken {
    this.#checkKey(key);
    return this.#take([key]);
  }

  #take(only?: readonly string[]): Taken {
    const values = this.#values;
    const delta = values.delta(only);
    if (!delta) return { values, delta, before: NO_VALUES };
    for (const key of Object.keys(delta.set)) this.#checkSchema(key, values.get(key));
    return { values, delta, before: values.accept(delta) };
  }

  #valuesOf(text: string | undefined, shortValues?: ShortValues): SessionValues {
    const { options, schema, emit } = this.#context;
    const onTooDeep = () => emit({ type: 'unreadable', id: this.#row.id });
    if (!schema) return new SessionValues(text, options, onTooDeep, undefined, shortValues);
    return new SessionValues(text, options, onTooDeep, (key, value) => {
      const constraints = isReserved(key) ? [] : schema(key, value);
      if (constraints.length > 0) emit({ type: 'invalid-key', id: this.#row.id, key, constraints });
      return constraints.length === 0;
    });
  }

  #serialize(key: string, value: unknown): string {
    this.#checkKey(key);
    return serialize(value, pathOf(key), this.#context.options);
  }

  #checkKey(key: string): void {
    const reason = checkKey(key);
    if (reason !== undefined) throw this.#error('SESSION_KEY', reason);
  }

  #checkSchema(key: string, value: unknown): void {
    const broken = isReserved(key) ? [] : (this.#context.schema?.(key, value) ?? []);
    if (broken.length > 0) throw this.#error('SESSION_VALUE', `${pathOf(key)} breaks the schema: ${broken.join(', ')}`);
  }

  /** What the operation will make of the value, as far as this request knows it: the database does not know the schema. */
  #checkOutcome(operation: AtomicOperation, current: unknown): void {
    if (!this.#context.schema || operation.kind === 'setIfAbsent') return;
    const result = applyAtomic(operation, current === undefined ? undefined : JSON.stringify(current));
    if (result.fits) this.#checkSchema(operation.key, parseValue(result.value));
  }

  #look(): void {
    this.#isLookedAt = true;
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure;
  }

  #openForChange(): void {
    this.#throwFailure();
    if (this.#isClosed) throw this.#error('SESSION_COMMITTED');
  }

  #refuseLate(): Promise<never> {
    return Promise.reject(this.#error('SESSION_COMMITTED'));
  }

  #noRoom(operation: string, key: string): SessionFault {
    return this.#error('SESSION_VALUE', `${operation}() found no room for ${pathOf(key)} (maxBytes)`);
  }

  /** An error for who uses the session in another way than it can be used. */
  refusal(code: SessionErrorCode, detail?: string): SessionFault {
    return this.#error(code, detail);
  }

  #error(code: SessionErrorCode, detail?: string): SessionFault {
    return this.#context.toError(describeError(code, detail));
  }
}

/** Keys that the library keeps for itself. */
function isReserved(key: string): boolean {
  return key.startsWith('$');
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function pathOf(key: string): string {
  return propertyPath('$', key);
}

function giveBack({ values, delta }: Taken): void {
  if (delta) values.giveBack(delta);
}
