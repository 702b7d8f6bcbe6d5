import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { describeError, SessionConfigError } from '../core/errors.js';
import type { RequestSession } from '../core/request-session.js';
import { requestOf, RequestSessions } from './request-sessions.js';
import { SessionException } from './session.exception.js';
import { REQUIRE_SESSION, SKIP_SESSION, type RequireSessionOptions } from './session.metadata.js';

interface Route {
  readonly skips: boolean;
  readonly required: RequireSessionOptions | undefined;
}

/** Opens the session of a request: validates the cookie, and sees to it that the response issues one where needed. */
@Injectable()
export class SessionGuard implements CanActivate {
  /** By controller and handler: a handler that is inherited belongs to several controllers. */
  readonly #routes = new Map<object, Map<object, Route>>();

  constructor(
    @Inject(RequestSessions) private readonly sessions: RequestSessions,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    if (context.getType() !== 'http') {
      throw new SessionConfigError(
        `SessionGuard serves HTTP, and this is a context of type "${context.getType()}". Keep it off gateways, resolvers and message handlers.`,
      );
    }
    const { skips, required } = this.#routeOf(context);
    if (skips) return true;
    // A preflight carries no cookie, and its answer is no place for one (Fetch, 4.8).
    if (requestOf(context).method === 'OPTIONS') return true;
    const session = this.sessions.open(context);
    if (session instanceof Promise) return session.then((loaded) => this.admit(loaded, required));
    return this.admit(session, required);
  }

  protected admit(session: RequestSession, required: RequireSessionOptions | undefined): boolean {
    if (!required) return true;
    if (session.exists && (!required.user || session.userId !== undefined)) return true;
    throw new SessionException(describeError('SESSION_REQUIRED'));
  }

  /** What the decorators say, which does not change: asking them for every request would cost more than reading the cookie. */
  #routeOf(context: ExecutionContext): Route {
    const [controller, handler] = [context.getClass(), context.getHandler()];
    let routes = this.#routes.get(controller);
    if (!routes) this.#routes.set(controller, (routes = new Map()));
    let route = routes.get(handler);
    if (!route) {
      const targets = [handler, controller];
      route = {
        skips: this.reflector.getAllAndOverride<boolean | undefined>(SKIP_SESSION, targets) ?? false,
        required: this.reflector.getAllAndOverride<RequireSessionOptions | undefined>(REQUIRE_SESSION, targets),
      };
      routes.set(handler, route);
    }
    return route;
  }
}
