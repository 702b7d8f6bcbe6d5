import type { IncomingMessage, ServerResponse } from 'node:http';
import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { describeError } from '../core/errors.js';
import type { RequestSession } from '../core/request-session.js';
import { SessionManager } from '../core/session-manager.js';
import type { SessionContext } from '../core/session-context.js';
import { CookieTransport } from '../http/cookie-transport.js';
import { holdResponse } from '../http/held-response.js';
import { SessionGate } from '../http/session-gate.js';
import { SessionException } from './session.exception.js';
import { SESSION_CONTEXT } from './session.tokens.js';

/** Fastify wraps Node's request and response in its own and keeps them as `raw`; Express extends them. */
interface Wrapped<R> {
  raw?: R;
}

/** The one place where all doors meet: the session of a request, opened once, by Node's own request object. */
const gates = new WeakMap<IncomingMessage, SessionGate>();

/** What `switchToHttp().getRequest()` gives, without the object that it makes for every call. */
export function requestOf(context: ExecutionContext): IncomingMessage {
  return context.getArgByIndex<IncomingMessage>(0);
}

/** Node's own request behind one of Express or Fastify. */
export function rawRequestOf(request: IncomingMessage & Wrapped<IncomingMessage>): IncomingMessage {
  return request.raw ?? request;
}

/** The session of a request in which a guard has opened it. */
export function sessionOf(request: IncomingMessage): RequestSession {
  const session = gates.get(request)?.session;
  if (session) return session;
  throw new SessionException(describeError('SESSION_NOT_OPEN'));
}

/** Opens sessions, and sees to it that the response waits for their commit. */
@Injectable()
export class RequestSessions {
  readonly #manager: SessionManager;
  readonly #transport: CookieTransport;

  constructor(@Inject(SESSION_CONTEXT) context: SessionContext) {
    this.#manager = new SessionManager(context);
    this.#transport = new CookieTransport(context.options);
  }

  /** The session of the request: whoever asks first opens it. Synchronous where no database has to be asked. */
  open(context: ExecutionContext): RequestSession | Promise<RequestSession> {
    const request = rawRequestOf(requestOf(context));
    const known = gates.get(request);
    if (known) return known.opened;
    const { tokens, cookieSent } = this.#transport.read(request);
    const oldId = this.#transport.readLegacy(request);
    const gate = new SessionGate(this.#manager, this.#transport, this.#manager.open(tokens, cookieSent, oldId));
    gates.set(request, gate);
    const response = context.getArgByIndex<ServerResponse & Wrapped<ServerResponse>>(1);
    holdResponse(response.raw ?? response, gate);
    return gate.opened;
  }
}
