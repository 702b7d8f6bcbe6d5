import type { FastifySessionMembers } from 'nestjs-typeorm-session';

/**
 * What `request.session` holds on Fastify. An application declares its own values:
 *
 * `declare module 'nestjs-typeorm-session/types/fastify' { interface SessionData { cart: Item[] } }`
 */
export interface SessionData {}

declare module 'fastify' {
  interface FastifyRequest {
    /** The session of the request: needs `requestSession`. Where nothing has opened one, reading it throws `SESSION_NOT_OPEN`. */
    session: FastifySessionMembers<SessionData> & Partial<SessionData>;
    /** Public id of the session. It is not the token. */
    readonly sessionID: string;
  }
}
