import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Store, type Session, type SessionData } from 'express-session';
import type { DataSource } from 'typeorm';
import { describeValue } from '../core/display.js';
import { SessionConfigError, SessionStoreError, STORE_CODES } from '../core/errors.js';
import { parseData } from '../core/json-profile.js';
import { touchAfterOf } from '../core/resolve-options.js';
import type { Applied, Found, Missed, SessionRef, StoredSession } from '../core/store.js';
import { hashToken } from '../core/token.js';
import { scheduleCleanup } from '../maintenance/schedule-cleanup.js';
import { SessionCleanup } from '../maintenance/session-cleanup.js';
import { createTypeOrmStore } from '../storage/create-store.js';
import type { TypeOrmSessionStore } from '../storage/typeorm-session.store.js';
import { refusal, sessionError } from './express-session.error.js';
import {
  resolveStoreOptions,
  type ExpressSessionStoreOptions,
  type ResolvedStoreOptions,
} from './express-session.options.js';
import { deltaBetween, isEmpty, KnownSession, snapshotOf, type Snapshot } from './known-session.js';
import { COOKIE, lifetimeFor, loadedCookie } from './session-cookie.js';

/** Sessions that `all` reads at most. */
const MAX_ALL = 1_000;

/** Rows that `clear` deletes with one statement. */
const CLEAR_AT_ONCE = 1_000;

/** A request as express-session has equipped it. */
type SessionRequest = IncomingMessage & { sessionID: string; session?: Session };
type Generate = (request: SessionRequest) => void;
type Request = Parameters<Store['createSession']>[0];
type Callback<R = void> = (error?: unknown, result?: R) => void;

/**
 * A store for express-session on the session table.
 *
 * It writes what a request has changed, per top-level key, and nothing else. It inserts what express-session has generated,
 * once, and never brings back a session that has ended: who saves into one is told, by an {@link ExpressSessionError}. Of a
 * session id the table has the SHA-256.
 *
 * It never emits `disconnect`: express-session would go on without sessions, and an outage would be a sign-out.
 */
export class ExpressSessionStore extends Store {
  readonly #dataSource: DataSource;
  readonly #options: ResolvedStoreOptions;
  readonly #known = new WeakMap<object, KnownSession>();
  /** By session id: what is being inserted. Never rejects. */
  readonly #inserting = new Map<string, Promise<void>>();
  readonly #cleanup: SessionCleanup | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #generate: Generate | undefined;
  #opened: TypeOrmSessionStore | undefined;

  /**
   * @param dataSource has to be initialized when the first request comes, and not before.
   * @throws SessionConfigError for a wrong option.
   */
  constructor(dataSource: DataSource, options?: ExpressSessionStoreOptions) {
    super();
    if (typeof dataSource?.initialize !== 'function') {
      throw new SessionConfigError(
        `ExpressSessionStore was given ${describeValue(dataSource)}. Give it the DataSource of TypeORM.`,
      );
    }
    this.#dataSource = dataSource;
    this.#options = resolveStoreOptions(options);
    const { cleanup, emit } = this.#options;
    if (!cleanup) return;
    // Before it is initialized, and after it is destroyed, there is nothing to clean up.
    const deleteExpired = async (limit: number) => (dataSource.isInitialized ? this.#store().deleteExpired(limit) : 0);
    this.#cleanup = new SessionCleanup({ deleteExpired }, cleanup.batchSize, emit);
    this.#timer = scheduleCleanup(this.#cleanup, cleanup.interval);
  }

  /**
   * Tries in one transaction what parsers, collations and modes of the server are known to change. Await it before the
   * application listens.
   *
   * @throws SessionConfigError with a sentence where the table cannot be used.
   */
  async check(): Promise<void> {
    await this.#store().check();
  }

  /** Ends the clean-up. The data source stays open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#cleanup?.stop();
    await this.#opened?.close();
  }

  /** express-session puts here what makes a new session: what that makes, and nothing else, may be inserted. */
  set generate(generate: Generate) {
    this.#generate = (request) => {
      generate(request);
      this.#known.set(request.session!, new KnownSession(request.sessionID));
    };
  }

  get generate(): Generate {
    return this.#generate!;
  }

  override createSession(request: Request, data: SessionData): Session & SessionData {
    const known = this.#known.get(data);
    const session = super.createSession(request, data);
    // What express-session does not show of the row, since a method has its name, is not part of what can have changed.
    if (known) this.#known.set(session, new KnownSession(known.sid, known.ref, snapshotOf(session)));
    return session;
  }

  override get(sid: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    this.#answer(this.#get(sid), callback);
  }

  override set(sid: string, session: SessionData, callback?: (error?: unknown) => void): void {
    this.#answer(this.#set(sid, session), callback);
  }

  override touch(sid: string, session: SessionData, callback?: (error?: unknown) => void): void {
    this.#answer(this.#touch(sid, session), callback);
  }

  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    this.#answer(this.#destroy(sid), callback);
  }

  /** Live sessions without their ids, of which the table has only hashes; an error where there are more than 1000. */
  override all(callback: (error: unknown, sessions?: SessionData[] | null) => void): void {
    this.#answer(this.#all(), callback);
  }

  /** How many sessions are live. */
  override length(callback: (error: unknown, length?: number) => void): void {
    this.#answer(
      this.#run('count', (store) => store.count()),
      callback,
    );
  }

  /** Deletes all rows of the table, those of who else keeps sessions there too. What begins meanwhile may go with them. */
  override clear(callback?: (error?: unknown) => void): void {
    this.#answer(this.#clear(), callback);
  }

  async #get(sid: string): Promise<SessionData | null> {
    // A cookie parser may have made something else of it.
    if (typeof sid !== 'string') return null;
    const tokenHash = hashToken(sid);
    const found = await this.#run('find', (store) => store.find([tokenHash]));
    const [first] = found;
    if (!first) return null;
    if (first.status === 'replaced') throw sessionError('SESSION_REPLACED');
    const data = this.#read(first);
    if (!data || first.status !== 'live') return null;
    const { id } = first.session;
    this.#known.set(data, new KnownSession(sid, { id, tokenHash }, snapshotOf(data)));
    return data;
  }

  async #set(sid: string, session: SessionData): Promise<void> {
    const known = this.#knownAs(sid, session);
    // Now: what is changed while others have their turn is for the next save.
    const now = snapshotOf(session, known.stored);
    const turn = known.inTurn(() =>
      known.ref ? this.#update(known, known.ref, now) : this.#insert(known, session, now),
    );
    if (!known.ref) this.#isInserting(sid, turn);
    return turn;
  }

  /** For who destroys the session before it is there. */
  #isInserting(sid: string, turn: Promise<void>): void {
    const settled = turn
      .catch(() => undefined)
      .then(() => {
        if (this.#inserting.get(sid) === settled) this.#inserting.delete(sid);
      });
    this.#inserting.set(sid, settled);
  }

  async #insert(known: KnownSession, session: SessionData, now: Snapshot): Promise<void> {
    // One that was destroyed, or has given way to another, must not begin now.
    const { req: request } = session as unknown as { req?: SessionRequest };
    if (request?.session !== (session as unknown)) throw sessionError('SESSION_GONE');
    const { maxBytes, lifetime } = this.#options;
    const { set: data } = deltaBetween(known.stored, now, maxBytes);
    const ref = { id: randomUUID(), tokenHash: hashToken(known.sid) };
    const { absoluteTimeout } = lifetime;
    const life = { ...lifetimeFor(now.maxAge, lifetime), absoluteTimeout };
    await this.#run('create', (store) => store.create({ ...ref, ...life, userId: undefined, data }));
    known.ref = ref;
    known.stored = now;
  }

  async #update(known: KnownSession, ref: SessionRef, now: Snapshot): Promise<void> {
    const { maxBytes, lifetime } = this.#options;
    const delta = deltaBetween(known.stored, now, maxBytes);
    const after = lifetimeFor(now.maxAge, lifetime);
    const isRetimed = now.maxAge !== known.stored.maxAge;
    if (!isRetimed && isEmpty(delta)) return this.#keepAlive(ref, now);
    const outcome: Applied | Missed = await this.#run('update', (store) =>
      isRetimed ? store.retime(ref, delta, after) : store.update(ref, delta, this.#touchAfter(now)),
    );
    if (outcome.status === 'gone') throw sessionError('SESSION_GONE');
    if (outcome.status === 'replaced') throw sessionError('SESSION_REPLACED');
    known.stored = now;
  }

  async #touch(sid: string, session: SessionData): Promise<void> {
    const known = this.#knownAs(sid, session);
    const { maxAge, values } = snapshotOf(session, known.stored);
    return known.inTurn(async () => {
      if (!known.ref) return;
      // express-session asks for no save where only the cookie has changed.
      const cookie = values.get(COOKIE);
      const stored = new Map(known.stored.values);
      if (cookie !== undefined) stored.set(COOKIE, cookie);
      await this.#update(known, known.ref, { maxAge, values: stored });
    });
  }

  /** Nothing was changed, so a session that has ended is no failure. */
  async #keepAlive(ref: SessionRef, now: Snapshot): Promise<void> {
    await this.#run('touch', (store) => store.touch(ref, this.#touchAfter(now)));
  }

  async #destroy(sid: string): Promise<void> {
    // The row that is about to be must not outlive this.
    await this.#inserting.get(sid);
    const tokenHash = hashToken(sid);
    const [found] = await this.#run('find', (store) => store.find([tokenHash]));
    if (!found) return;
    if (found.status === 'replaced') throw sessionError('SESSION_REPLACED');
    const id = found.status === 'live' ? found.session.id : found.id;
    const { status } = await this.#run('delete', (store) => store.delete({ id, tokenHash }));
    if (status === 'replaced') throw sessionError('SESSION_REPLACED');
  }

  async #all(): Promise<SessionData[]> {
    const found = await this.#run('list', (store) => store.list(MAX_ALL + 1));
    if (found.length > MAX_ALL) throw refusal('SESSION_TOO_MANY');
    return found.flatMap((one) => this.#read(one) ?? []);
  }

  async #clear(): Promise<void> {
    while ((await this.#run('clear', (store) => store.deleteAny(CLEAR_AT_ONCE))) > 0);
  }

  /** What another program wrote there and is no session is none. */
  #read(found: Found): SessionData | undefined {
    if (found.status === 'replaced') return undefined;
    const values = found.status === 'live' ? parseData(found.session.data) : undefined;
    if (values) return dataOf(values, (found as { session: StoredSession }).session);
    this.#options.emit({ type: 'unreadable', id: found.status === 'live' ? found.session.id : found.id });
    return undefined;
  }

  /** An object that is not known may be a copy: written whole, it would undo what others wrote, or bring back what ended. */
  #knownAs(sid: string, session: SessionData): KnownSession {
    const known = this.#known.get(session);
    if (known?.sid === sid) return known;
    throw refusal('SESSION_FOREIGN');
  }

  #touchAfter({ maxAge }: Snapshot): number {
    return touchAfterOf(this.#options, lifetimeFor(maxAge, this.#options.lifetime).idleTimeout);
  }

  #store(): TypeOrmSessionStore {
    if (!this.#dataSource.isInitialized) {
      this.#opened = undefined;
      throw new SessionConfigError(
        'The TypeORM data source of ExpressSessionStore is not initialized. Await dataSource.initialize() before the application takes requests.',
      );
    }
    const { entity, deadline, maxBytes } = this.#options;
    const warn = (sentence: string) => process.emitWarning(sentence, 'SessionWarning');
    return (this.#opened ??= createTypeOrmStore(this.#dataSource, entity, { deadline, maxBytes }, warn));
  }

  /** Failures of the store as errors that Express and Nest can answer with. */
  async #run<R>(operation: string, work: (store: TypeOrmSessionStore) => Promise<R>): Promise<R> {
    try {
      return await work(this.#store());
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      this.#options.emit({ type: 'store-failed', operation, reason: error.reason });
      throw sessionError(STORE_CODES[error.failure]);
    }
  }

  #answer<R>(work: Promise<R>, callback: Callback<R> | undefined): void {
    // Outside of the promise: what a callback throws is no rejection.
    work.then(
      (result) => process.nextTick(() => callback?.(null, result)),
      (error: unknown) => process.nextTick(() => callback?.(error)),
    );
  }
}

function dataOf(values: ReadonlyMap<string, unknown>, { remaining }: StoredSession): SessionData {
  const cookie = loadedCookie(values.get(COOKIE), remaining);
  return { ...Object.fromEntries(values), cookie } as SessionData;
}
