import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { describeError } from '../core/errors.js';
import type { Session, SessionData } from '../core/session.js';
import { sessionOf } from './request-sessions.js';
import { SessionFacade } from './session-facade.js';
import { SessionException } from './session.exception.js';

/** The request that the running code belongs to. */
const requests = new AsyncLocalStorage<IncomingMessage>();

/** As much of Nest's HTTP adapters as it takes to stand in front of every handler. */
export interface FrontDoor {
  getType(): string;
  getInstance(): { addHook?(name: string, hook: FastifyHook): unknown };
  use(handler: (request: IncomingMessage, response: unknown, next: () => void) => void): unknown;
}
type FastifyHook = (request: { raw: IncomingMessage }, reply: unknown, done: () => void) => void;

/**
 * Makes every handler, guard and provider know its request. The context is entered in front of Nest, since one that is entered inside
 * an asynchronous guard does not reach the handler on every Node.
 */
export function enterRequests(adapter: FrontDoor): void {
  if (adapter.getType() !== 'fastify') {
    adapter.use(enterRequest);
    return;
  }
  // preHandler: the events that bring a body are not emitted in the context of the hooks before.
  adapter.getInstance().addHook?.('preHandler', (request, _reply, done) => requests.run(request.raw, done));
}

/** The same for what runs in front of Nest, such as a deserializer of passport: it loses its request with the body's events. */
export function enterRequest(request: IncomingMessage, _response: unknown, next: () => void): void {
  requests.run(request, next);
}

/**
 * The session of the request as a singleton: for passport strategies and services that must not become request-scoped.
 * Needs `currentSession: true`.
 */
@Injectable()
export class CurrentSession<T extends object = SessionData> extends SessionFacade<T> {
  protected current(): Session<T> {
    const request = requests.getStore();
    if (request) return sessionOf(request) as unknown as Session<T>;
    throw new SessionException(
      describeError(
        'SESSION_NOT_OPEN',
        'CurrentSession works inside a request, and with currentSession: true in SessionModule.forRoot()',
      ),
    );
  }
}
