import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { describeError } from '../core/errors.js';
import type { RequestSession } from '../core/request-session.js';
import { SessionManager } from '../core/session-manager.js';
import type { SessionContext } from '../core/session-context.js';
import type { ResolvedCookieOptions } from '../core/options.js';
import { CookieTransport } from '../http/cookie-transport.js';
import { makeExpressObjects, type ExpressApplication } from '../http/express-objects.js';
import { makeRoomForHold, prepareResponses } from '../http/held-methods.js';
import { holdResponse } from '../http/held-response.js';
import { SessionGate } from '../http/session-gate.js';
import { SessionViews, type SessionView, type ViewStyle } from '../http/session-view.js';
import { SessionException } from './session.exception.js';
import { SESSION_CONTEXT } from './session.tokens.js';

/** Fastify wraps Node's request and response in its own and keeps them as `raw`; Express extends them. */
interface Wrapped<R> {
  raw?: R;
}

/**
 * The one place where all doors meet: the session of a request, opened once, on Node's own request object. No WeakMap, whose
 * values minor garbage collections take for alive: docs/decisions/015-what-a-request-carries.md.
 */
const GATE = Symbol('nestjs-typeorm-session.gate');

interface Gated extends IncomingMessage {
  [GATE]?: SessionGate | undefined;
}

/**
 * Makes room on each request and its response for what the session puts there, before Express has touched them: where it changes the
 * prototypes of both, each new property costs a hidden class of its own from then on. The methods that hold a response
 * are the application's, for all its responses.
 *
 * @param application another framework's may look like Express, and have no such prototypes
 * @param server none where the application has no server of its own, as in a function of a cloud; that works too
 * @param expressPrototypes whether the server is to make them with the prototypes that Express gives them
 */
export function prepareExpress(
  application: Partial<ExpressApplication>,
  server: Server | undefined,
  expressPrototypes: boolean,
): void {
  const { request, response } = application;
  if (response) prepareResponses(response);
  if (!server) return;
  if (expressPrototypes && request && response) makeExpressObjects(server, { request, response });
  server.prependListener('request', makeRoom);
}

function makeRoom(request: IncomingMessage, response: ServerResponse): void {
  (request as Gated)[GATE] = undefined;
  makeRoomForHold(response);
}

/** What a preflight has for a session: an empty one that cannot be changed. */
const preflights = new WeakMap<IncomingMessage, RequestSession>();

/** What `switchToHttp().getRequest()` gives, without the object that it makes for every call. */
export function requestOf(context: ExecutionContext): IncomingMessage {
  return context.getArgByIndex<IncomingMessage>(0);
}

/** Node's own request behind one of Express or Fastify. */
export function rawRequestOf(request: IncomingMessage & Wrapped<IncomingMessage>): IncomingMessage {
  // Where room was made, it is Node's. To look for what a request of Express does not have takes V8 long.
  return Object.hasOwn(request, GATE) ? request : (request.raw ?? request);
}

/** The session of a request in which a guard has opened it. */
export function sessionOf(request: IncomingMessage): RequestSession {
  const session = (request as Gated)[GATE]?.session;
  if (session) return session;
  throw new SessionException(describeError('SESSION_NOT_OPEN'));
}

/** The session that was opened for a request in front of its guards, or by one of them. */
export function sessionAheadOf(request: IncomingMessage): RequestSession | undefined {
  return (request as Gated)[GATE]?.session ?? preflights.get(request);
}

/** Opens sessions, and sees to it that the response waits for their commit. */
@Injectable()
export class RequestSessions {
  readonly #manager: SessionManager;
  readonly #transport: CookieTransport;
  readonly #cookie: ResolvedCookieOptions;
  readonly #views = new WeakMap<RequestSession, SessionViews>();

  constructor(@Inject(SESSION_CONTEXT) context: SessionContext) {
    this.#manager = new SessionManager(context);
    this.#transport = new CookieTransport(context.options);
    this.#cookie = context.options.cookie;
  }

  /** The session of the request: whoever asks first opens it. Synchronous where no database has to be asked. */
  open(context: ExecutionContext): RequestSession | Promise<RequestSession> {
    const request = requestOf(context);
    const response = context.getArgByIndex<ServerResponse & Wrapped<ServerResponse>>(1);
    const rawRequest = rawRequestOf(request);
    return this.#open(rawRequest, rawRequest === request ? response : (response.raw ?? response));
  }

  /** The same in front of all guards, with Node's own request and response, and what they inherit from Express. */
  openAhead(request: IncomingMessage, response: ServerResponse): RequestSession | Promise<RequestSession> {
    // A preflight carries no cookie, and its answer is no place for one (Fetch, 4.8).
    return request.method === 'OPTIONS' ? this.#openPreflight(request) : this.#open(request, response);
  }

  /** What `req.session` is at this moment. */
  viewOf(session: RequestSession, style: ViewStyle): SessionView {
    let views = this.#views.get(session);
    if (!views) this.#views.set(session, (views = new SessionViews(session, this.#cookie, style)));
    return views.current;
  }

  #openPreflight(request: IncomingMessage): RequestSession | Promise<RequestSession> {
    const session = this.#manager.open([], false) as RequestSession;
    session.close();
    preflights.set(request, session);
    return session;
  }

  #open(request: Gated, response: ServerResponse): RequestSession | Promise<RequestSession> {
    const known = request[GATE];
    if (known) return known.opened;
    const { tokens, cookieSent } = this.#transport.read(request);
    const oldId = this.#transport.readLegacy(request);
    const gate = new SessionGate(this.#manager, this.#transport, this.#manager.open(tokens, cookieSent, oldId));
    request[GATE] = gate;
    holdResponse(response, gate);
    return gate.opened;
  }
}
