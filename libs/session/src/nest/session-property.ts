import type { IncomingMessage, ServerResponse } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import { describeError } from '../core/errors.js';
import type { SessionView, ViewStyle } from '../http/session-view.js';
import { rawRequestOf, RequestSessions, sessionAheadOf } from './request-sessions.js';
import { SessionException } from './session.exception.js';

/** A middleware as Express has it, and as Nest's Fastify adapter runs it on Node's own request and response. */
export type SessionMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** As much of Nest's HTTP adapters as it takes to define a property of every request. */
interface Adapter {
  getType(): string;
  getInstance(): ExpressInstance & FastifyInstance;
}
interface ExpressInstance {
  readonly request: object;
}
interface FastifyInstance {
  hasRequestDecorator(name: string): boolean;
  decorateRequest(name: string, property: { getter(): unknown; setter(value: unknown): void }): unknown;
}

interface WithSession {
  session: unknown;
  sessionID: unknown;
}

/**
 * Opens the session of every request that passes, and defines `req.session` as express-session users know it. For
 * applications that want it at this place in `main.ts` and not in front of everything, as `requestSession: true` has it:
 *
 * `app.use(requestSession(app))`, before `passport.session()` and whatever else reads `req.session`.
 */
export function requestSession(app: Pick<INestApplication, 'get' | 'getHttpAdapter'>): SessionMiddleware {
  return openAhead(app.getHttpAdapter(), app.get(RequestSessions, { strict: false }));
}

/** Defines the property on the requests of an application, and returns what opens their sessions. */
export function openAhead(adapter: Adapter, sessions: RequestSessions): SessionMiddleware {
  const style = adapter.getType() === 'fastify' ? 'fastify' : 'express';
  const property = new SessionProperty(sessions, style);
  if (style === 'fastify') property.decorate(adapter.getInstance());
  else property.define(adapter.getInstance().request);
  return (request, response, next) => {
    const opened = sessions.openAhead(request, response);
    // Express's requests inherit it; those of Node, which middleware on Fastify gets, do not.
    if (style === 'fastify') property.define(request);
    if (!(opened instanceof Promise)) {
      next();
      return;
    }
    // Outside of the promise, which would swallow what the next one throws.
    opened.then(
      () => process.nextTick(next),
      (error: unknown) => process.nextTick(next, error),
    );
  };
}

/** `req.session` and `req.sessionID`, of requests whose session is open. */
class SessionProperty {
  readonly #sessions: RequestSessions;
  readonly #style: ViewStyle;

  constructor(sessions: RequestSessions, style: ViewStyle) {
    this.#sessions = sessions;
    this.#style = style;
  }

  /** On a request, or on what all requests inherit from. */
  define(target: object): void {
    const viewOf = (request: IncomingMessage) => this.#viewOf(request);
    Object.defineProperties(target, {
      session: {
        configurable: true,
        get(this: IncomingMessage) {
          return viewOf(this);
        },
        set(this: IncomingMessage, value: unknown) {
          assign(this, 'session', value);
        },
      },
      sessionID: {
        configurable: true,
        get(this: IncomingMessage) {
          return viewOf(this).id;
        },
        set(this: IncomingMessage, value: unknown) {
          assign(this, 'sessionID', value);
        },
      },
    });
  }

  decorate(instance: FastifyInstance): void {
    if (instance.hasRequestDecorator('session')) return;
    const viewOf = (request: IncomingMessage) => this.#viewOf(request);
    instance.decorateRequest('session', {
      getter(this: IncomingMessage) {
        return viewOf(this);
      },
      setter(this: IncomingMessage, value: unknown) {
        assign(this, 'session', value);
      },
    });
    instance.decorateRequest('sessionID', {
      getter(this: IncomingMessage) {
        return viewOf(this).id;
      },
      setter(this: IncomingMessage, value: unknown) {
        assign(this, 'sessionID', value);
      },
    });
  }

  #viewOf(request: IncomingMessage): SessionView {
    const session = sessionAheadOf(rawRequestOf(request));
    if (session) return this.#sessions.viewOf(session, this.#style);
    const detail =
      'req.session was read before the session was opened. In main.ts, put app.use(requestSession(app)) in front of what ' +
      'reads it, such as passport.session(); with requestSession: true in SessionModule.forRoot() it is in front of all that Nest runs';
    throw new SessionException(describeError('SESSION_NOT_OPEN', detail));
  }
}

/** Another program's own session, on a request that has none of ours, is left alone. */
function assign(request: IncomingMessage, name: keyof WithSession, value: unknown): void {
  const session = sessionAheadOf(rawRequestOf(request));
  if (session) {
    throw session.refusal(
      'SESSION_VALUE',
      `req.${name} cannot be replaced. Call req.session.destroy() to end the session, and set properties of req.session to change it`,
    );
  }
  Object.defineProperty(request, name, { value, configurable: true, enumerable: true, writable: true });
}
