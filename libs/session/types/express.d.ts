import type { RequestSessionMembers } from 'nestjs-typeorm-session';

/**
 * What `req.session` holds on Express, for applications without `@types/express-session`; others import
 * `nestjs-typeorm-session/types/express-session`. An application declares its own values:
 *
 * `declare module 'nestjs-typeorm-session/types/express' { interface SessionData { cart: Item[] } }`
 */
export interface SessionData {}

declare global {
  namespace Express {
    interface Request {
      /** The session of the request: needs `requestSession`. Where nothing has opened one, reading it throws `SESSION_NOT_OPEN`. */
      session: RequestSessionMembers & Partial<SessionData>;
      /** Public id of the session. It is not the token. */
      readonly sessionID: string;
    }
  }
}
