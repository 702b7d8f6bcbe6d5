import type { IncomingMessage } from 'node:http';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import type { Session, SessionData } from '../core/session.js';
import { rawRequestOf, sessionOf } from './request-sessions.js';
import { SessionFacade } from './session-facade.js';

/**
 * The session of the request, to be injected. Request-scoped: Nest makes every provider and controller that injects it
 * request-scoped too. Where that must not happen take `@Session()` or `CurrentSession`.
 */
@Injectable({ scope: Scope.REQUEST })
export class SessionService<T extends object = SessionData> extends SessionFacade<T> {
  readonly #request: IncomingMessage;

  constructor(@Inject(REQUEST) request: IncomingMessage) {
    super();
    // Not yet the session: Nest builds request-scoped providers before guards run.
    this.#request = rawRequestOf(request);
  }

  protected current(): Session<T> {
    return sessionOf(this.#request) as unknown as Session<T>;
  }
}
