import { describeError, isSessionFault, SessionStoreError, type SessionFault } from './errors.js';
import { isReadable } from './json-profile.js';
import { SessionMigration } from './legacy/session-migration.js';
import { RequestSession } from './request-session.js';
import type { Origin, SessionContext } from './session-context.js';
import type { Found, StoredSession } from './store.js';
import { hashToken } from './token.js';

/** The beginning and the end of a request's session. */
export class SessionManager {
  readonly #context: SessionContext;
  readonly #migration: SessionMigration | undefined;

  constructor(context: SessionContext) {
    this.#context = context;
    if (context.legacy) this.#migration = new SessionMigration(context, (found) => this.#resolve(found));
  }

  /**
   * Opens the session of a request. Answers at once, and asks nobody, where there is no token to ask about or the
   * store remembers its session.
   *
   * @param tokens well-formed, verified, distinct
   * @param cookieSent whether the request had a cookie of our name, whatever it held
   * @param oldId verified, of the cookie of `migrateFrom`
   */
  open(tokens: readonly string[], cookieSent: boolean, oldId?: string): RequestSession | Promise<RequestSession> {
    if (this.#migration?.isOn && (tokens.length > 0 || oldId !== undefined)) {
      return this.#migration.open(tokens, cookieSent, oldId).then((origin) => this.#session(origin));
    }
    if (tokens.length === 0) return this.#session({ status: 'anonymous', cookieSent });
    const hashes = tokens.map(hashToken);
    const remembered = hashes.length === 1 ? this.#context.store.peek?.(hashes[0]!) : undefined;
    return remembered ? this.#session(this.#resolve([{ status: 'live', session: remembered }])) : this.#load(hashes);
  }

  /**
   * Brings the session to its final state before the first byte of the response.
   *
   * @param status of the handler's response: 5xx saves no data
   * @returns the error that has to replace the response, if any. Answers synchronously where nothing is to be written.
   */
  commit(session: RequestSession, status: number): SessionFault | undefined | Promise<SessionFault | undefined> {
    session.close();
    if (session.isJustMoved) return this.#commitMoved(session, status);
    if (session.running) return this.#commitAfterRunning(session, status);
    return this.#commitRest(session, status);
  }

  /** Passes on an error that no caller is left to receive. */
  report(error: unknown): void {
    this.#context.report(error);
  }

  async #commitMoved(session: RequestSession, status: number): Promise<SessionFault | undefined> {
    const fault = await this.#commitAfterRunning(session, status);
    await session.confirmToken();
    return fault;
  }

  async #commitAfterRunning(session: RequestSession, status: number): Promise<SessionFault | undefined> {
    while (session.running) await session.running;
    return this.#commitRest(session, status);
  }

  #commitRest(session: RequestSession, status: number): SessionFault | undefined | Promise<SessionFault | undefined> {
    if (status >= 500) return undefined;
    // A handler that answers an error has told the client; one that answers success may not know yet.
    if (session.rejected && status < 400) return session.rejected;
    return session.writeRest()?.then(
      () => undefined,
      (error: unknown) => this.#faultOf(error),
    );
  }

  #faultOf(error: unknown): SessionFault {
    if (isSessionFault(error)) return error;
    this.#context.report(error);
    return this.#context.toError(describeError('SESSION_FAILED'));
  }

  async #load(tokenHashes: readonly Buffer[]): Promise<RequestSession> {
    const { store, toError, emit } = this.#context;
    let found: Found[];
    try {
      found = await store.find(tokenHashes);
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      emit({ type: 'store-failed', operation: 'find', reason: error.reason });
      return this.#session({ status: 'failed', failure: toError(describeError('SESSION_UNAVAILABLE')) });
    }
    return this.#session(this.#resolve(found));
  }

  #resolve(found: readonly Found[]): Origin {
    const [only] = found;
    if (found.length === 1 && only!.status === 'live' && isReadable(only!.session.data)) return only!;
    const readable = found.flatMap((entry) => this.#readableIn(entry));
    if (readable.length > 1) {
      this.#context.emit({ type: 'duplicate-cookie', ids: readable.map(({ id }) => id) });
      return { status: 'ambiguous' };
    }
    if (readable[0]) return { status: 'live', session: readable[0] };
    if (found.some(({ status }) => status === 'replaced')) return { status: 'replaced' };
    return { status: 'anonymous', cookieSent: true };
  }

  #readableIn(found: Found): StoredSession[] {
    if (found.status === 'replaced') return [];
    if (found.status === 'live' && isReadable(found.session.data)) return [found.session];
    this.#context.emit({ type: 'unreadable', id: found.status === 'live' ? found.session.id : found.id });
    return [];
  }

  #session(origin: Origin): RequestSession {
    return new RequestSession(this.#context, origin);
  }
}
