import type { ExecutionContext } from '@nestjs/common';
import { describeError } from '../core/errors.js';
import type { Session, SessionData } from '../core/session.js';
import { SessionException } from './session.exception.js';
import type { RequestSessions } from './request-sessions.js';

/** By the Express or Fastify instance beneath the application: several applications may share a process. */
const applications = new WeakMap<object, RequestSessions>();

/** @param instance of Express or Fastify */
export function registerApplication(instance: object, sessions: RequestSessions): void {
  applications.set(instance, sessions);
}

/**
 * The session of the request, for a guard that runs before `SessionGuard`: opens it where that has not happened yet.
 *
 * @throws `SESSION_NOT_OPEN` outside HTTP, or in an application without `SessionModule`.
 */
export async function openSession<T extends object = SessionData>(context: ExecutionContext): Promise<Session<T>> {
  const request =
    context.getType() === 'http' ? context.switchToHttp().getRequest<{ app?: object; server?: object }>() : {};
  const sessions = sessionsOf(request.app ?? request.server);
  if (!sessions)
    throw new SessionException(describeError('SESSION_NOT_OPEN', 'the application has no SessionModule here'));
  return (await sessions.open(context)) as unknown as Session<T>;
}

/** An encapsulated Fastify plugin has an instance of its own, which inherits from the application's. */
function sessionsOf(instance: object | null | undefined): RequestSessions | undefined {
  for (let at = instance; at; at = Object.getPrototypeOf(at) as object | null) {
    const sessions = applications.get(at);
    if (sessions) return sessions;
  }
  return undefined;
}
