import type { IncomingMessage } from 'node:http';
import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { describeError, SessionConfigError } from '../core/errors.js';
import type { RequestSession } from '../core/request-session.js';
import { RequestSessions } from './request-sessions.js';
import { SessionException } from './session.exception.js';
import { REQUIRE_SESSION, SKIP_SESSION, type RequireSessionOptions } from './session.metadata.js';

/** Opens the session of a request: validates the cookie, and sees to it that the response issues one where needed. */
@Injectable()
export class SessionGuard implements CanActivate {
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
    if (this.#metadata<boolean>(SKIP_SESSION, context)) return true;
    // A preflight carries no cookie, and its answer is no place for one (Fetch, 4.8).
    if (context.switchToHttp().getRequest<IncomingMessage>().method === 'OPTIONS') return true;
    const required = this.#metadata<RequireSessionOptions>(REQUIRE_SESSION, context);
    const session = this.sessions.open(context);
    if (session instanceof Promise) return session.then((loaded) => this.admit(loaded, required));
    return this.admit(session, required);
  }

  protected admit(session: RequestSession, required: RequireSessionOptions | undefined): boolean {
    if (!required) return true;
    if (session.exists && (!required.user || session.userId !== undefined)) return true;
    throw new SessionException(describeError('SESSION_REQUIRED'));
  }

  #metadata<V>(key: string, context: ExecutionContext): V | undefined {
    return this.reflector.getAllAndOverride<V | undefined>(key, [context.getHandler(), context.getClass()]);
  }
}
