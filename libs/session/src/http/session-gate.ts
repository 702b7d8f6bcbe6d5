import type { SessionErrorInfo, SessionFault } from '../core/errors.js';
import type { RequestSession } from '../core/request-session.js';
import type { SessionManager } from '../core/session-manager.js';
import type { CookieTransport } from './cookie-transport.js';
import type { ReplacementResponse, ResponseGate } from './held-response.js';
import { addVaryCookie, setPrivateIfUnset, type HeaderTarget } from './response-headers.js';

/** Lets a response begin once its session is committed, and puts the session's headers on it. */
export class SessionGate implements ResponseGate {
  readonly #manager: SessionManager;
  readonly #transport: CookieTransport;
  #session: RequestSession | undefined;
  readonly #opening: Promise<RequestSession> | undefined;

  constructor(manager: SessionManager, transport: CookieTransport, opened: RequestSession | Promise<RequestSession>) {
    this.#manager = manager;
    this.#transport = transport;
    if (!(opened instanceof Promise)) this.#session = opened;
    else {
      this.#opening = opened;
      // Who awaits the opening, after us, is told of an error. Nobody may ever do so, and that must not end the process.
      opened.then((session) => (this.#session = session), doNothing);
    }
  }

  /** The session of the request, once it is open. */
  get session(): RequestSession | undefined {
    return this.#session;
  }

  /** The session, at once where it is open. */
  get opened(): RequestSession | Promise<RequestSession> {
    return this.#session ?? this.#opening!;
  }

  commit(status: number): ReplacementResponse | undefined | Promise<ReplacementResponse | undefined> {
    if (!this.#session) return this.#commitWhenOpen(status);
    const fault = this.#manager.commit(this.#session, status);
    return fault instanceof Promise ? fault.then(replacementFor) : replacementFor(fault);
  }

  get isIdle(): boolean {
    return this.#session?.isUnchanged ?? false;
  }

  setHeaders(target: HeaderTarget, status: number): void {
    const session = this.#session;
    if (!session) return;
    this.#transport.write(target, session.cookie);
    if (session.hasEndedLegacy) this.#transport.expireLegacy(target);
    if (status === 503) setRetryAfter(target, session.failure ?? session.rejected);
    if (!session.isLookedAt) return;
    addVaryCookie(target);
    setPrivateIfUnset(target);
  }

  report(error: unknown): void {
    this.#manager.report(error);
  }

  async #commitWhenOpen(status: number): Promise<ReplacementResponse | undefined> {
    try {
      await this.#opening;
    } catch {
      // The guard that awaits it too has thrown, and this response is the answer to that.
      return undefined;
    }
    return this.commit(status);
  }
}

function doNothing(): void {}

function setRetryAfter(target: HeaderTarget, fault: SessionFault | undefined): void {
  const retryAfter = fault?.session.retryAfter;
  if (retryAfter === undefined || target.getHeader('retry-after') !== undefined) return;
  target.setHeader('retry-after', retryAfter);
}

function replacementFor(fault: SessionFault | undefined): ReplacementResponse | undefined {
  return fault && answerTo(fault.session);
}

function answerTo({ status, code, message, retryAfter }: SessionErrorInfo): ReplacementResponse {
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  return { status, headers, body: JSON.stringify({ statusCode: status, code, message }) };
}
