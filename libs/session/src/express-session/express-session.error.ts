import { describeError, type SessionErrorCode, type SessionErrorInfo } from '../core/errors.js';

/** What only this store can be asked for, and refuses. */
const ERRORS = {
  SESSION_FOREIGN:
    'The store was given a session that it neither handed out nor saw express-session generate, so it does not know what was changed in it, and nothing was saved. ' +
    'Change req.session itself, or the very object that get() handed out, and no copy of it. @fastify/session gives copies, and is not supported',
  SESSION_TOO_MANY:
    'all() reads at most 1000 sessions, and there are more. Count them with length(), and read the table in pages',
} as const;

export type ExpressSessionErrorCode = SessionErrorCode | keyof typeof ERRORS;

/**
 * What the callbacks of the store are given. Handed on to `next`, it is answered with its `status`, by Express and by Nest
 * alike. Never holds a session id, a hash or a session value.
 */
export class ExpressSessionError extends Error {
  readonly code: ExpressSessionErrorCode;
  /** HTTP status of the answer. */
  readonly status: number;
  /** The same: Nest reads this one. */
  readonly statusCode: number;
  /** What the answer should carry, where trying again can help. */
  readonly headers: Readonly<Record<string, string>> | undefined;

  constructor({
    code,
    status,
    message,
    retryAfter,
  }: Omit<SessionErrorInfo, 'code'> & { code: ExpressSessionErrorCode }) {
    super(message);
    this.name = 'ExpressSessionError';
    this.code = code;
    this.status = status;
    this.statusCode = status;
    if (retryAfter !== undefined) this.headers = { 'Retry-After': String(retryAfter) };
  }
}

/** @param detail what exactly was refused: a key or a path, never a value. */
export function sessionError(code: SessionErrorCode, detail?: string): ExpressSessionError {
  return new ExpressSessionError(describeError(code, detail));
}

export function refusal(code: keyof typeof ERRORS): ExpressSessionError {
  return new ExpressSessionError({ code, status: 500, message: `${ERRORS[code]}.` });
}
