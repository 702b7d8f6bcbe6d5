import type { FastifySessionMembers } from 'nestjs-typeorm-session';

/**
 * What `request.session` holds on Fastify. An application declares its own values:
 *
 * `declare module 'nestjs-typeorm-session/types/fastify' { interface SessionData { cart: Item[] } }`
 */
export interface SessionData {}

declare module 'fastify' {
  /** What an application has declared for `@fastify/session` counts as well. */
  interface Session {}
  interface FastifyRequest {
    /** The session of the request: needs `requestSession`. Where nothing has opened one, reading it throws `SESSION_NOT_OPEN`. */
    session: FastifySessionMembers<SessionData> & Partial<SessionData> & Partial<Session>;
    /** Public id of the session. It is not the token. */
    readonly sessionID: string;
  }
}
