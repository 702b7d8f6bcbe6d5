/**
 * What can go wrong with a session, by code. The status is what the client gets, the sentence says what happened and
 * what to do. No text here or in a detail ever holds a token, a hash or a session value.
 */
const ERRORS = {
  SESSION_UNAVAILABLE: [503, 'The session store cannot be reached; nobody was signed out. Try again shortly'],
  SESSION_OUTCOME_UNKNOWN: [
    503,
    'The database went away while the session was being written, so the change may or may not have happened. Look before you repeat it',
  ],
  SESSION_REQUIRED: [401, 'This needs a session, and the request has none. Sign in first'],
  SESSION_GONE: [401, 'The session ended while the request ran; its changes were not saved. Sign in again'],
  SESSION_REPLACED: [
    409,
    'The session got a new token (a sign-in or a regeneration) while this request carried the old one; nothing was saved. Repeat it with the new cookie',
  ],
  SESSION_AMBIGUOUS: [
    409,
    'The request carried cookies of two live sessions, so nothing was saved. Delete the cookies of this site and sign in again',
  ],
  SESSION_CONFLICT: [
    409,
    'Other requests kept changing the session, so this change was given up. It is safe to repeat',
  ],
  SESSION_COMMITTED: [
    500,
    'The response has begun, so the session cannot be changed any more. Change it before the first byte, and call save() before a stream starts',
  ],
  SESSION_NOT_OPEN: [
    500,
    'No session was opened for this request. Add @UseGuards(SessionGuard) to the route or controller or set guardAll: true in SessionModule.forRoot(); a guard that runs before SessionGuard calls `await openSession(context)` first, and @SkipSession() routes have none',
  ],
  SESSION_KEY: [500, 'The key cannot be used in a session'],
  SESSION_VALUE: [500, 'The value cannot be kept in a session'],
  SESSION_TRANSACTION: [500, 'The session cannot take part in this transaction'],
  SESSION_FAILED: [500, 'The session could not be kept, for a reason that lies with the server. See its log'],
} as const satisfies Record<string, readonly [number, string]>;

/** Machine-readable reason of a session error. */
export type SessionErrorCode = keyof typeof ERRORS;

/** Seconds after which a client may try again when the store was away (RFC 9110, 10.2.3). */
export const RETRY_AFTER_SECONDS = 2;

/** All there is to know about one session error: how the nest ring builds its exception, and the edge its body. */
export interface SessionErrorInfo {
  readonly code: SessionErrorCode;
  /** HTTP status of the answer. */
  readonly status: number;
  readonly message: string;
  /** Seconds for the Retry-After header, where trying again can help. */
  readonly retryAfter?: number;
}

/** An error that carries its {@link SessionErrorInfo}. */
export interface SessionFault extends Error {
  readonly session: SessionErrorInfo;
}

export function isSessionFault(error: unknown): error is SessionFault {
  return error instanceof Error && 'session' in error;
}

/** Builds the error that reaches the application: inside Nest an HttpException, in core alone a plain Error. */
export type SessionErrorFactory = (info: SessionErrorInfo) => SessionFault;

/** @param detail what exactly was refused: a key or a path, never a value. */
export function describeError(code: SessionErrorCode, detail?: string): SessionErrorInfo {
  const [status, sentence] = ERRORS[code];
  const retryAfter = code === 'SESSION_UNAVAILABLE' ? RETRY_AFTER_SECONDS : undefined;
  return { code, status, message: detail ? `${sentence}: ${detail}` : `${sentence}.`, retryAfter };
}

/** A wrong option or a wrong set-up: thrown at boot, so that the application does not start with it. */
export class SessionConfigError extends Error {
  readonly code = 'SESSION_CONFIG';

  constructor(message: string) {
    super(message);
    this.name = 'SessionConfigError';
  }
}

/** Why a store cannot join a transaction of the application. The sentence says what to do. */
export class SessionJoinError extends Error {}

/**
 * Why a store could not do what it was asked:
 * `unavailable` surely did nothing, `unknown` may have done it, `conflict` lost to concurrent transactions until the
 * deadline, `refused` will refuse it again.
 */
export type StoreFailure = 'unavailable' | 'unknown' | 'conflict' | 'refused';

/** What a failure of the store is to the application. */
export const STORE_CODES: Readonly<Record<StoreFailure, SessionErrorCode>> = {
  unavailable: 'SESSION_UNAVAILABLE',
  unknown: 'SESSION_OUTCOME_UNKNOWN',
  conflict: 'SESSION_CONFLICT',
  refused: 'SESSION_FAILED',
};

/**
 * The only error a store throws. It has no `cause`: driver errors print parameters, and those are tokens' hashes and
 * session values.
 */
export class SessionStoreError extends Error {
  constructor(
    readonly failure: StoreFailure,
    /** What the database called it: an SQLSTATE, an errno or `deadline`. */
    readonly reason: string,
  ) {
    super(`session store: ${failure} (${reason})`);
    this.name = 'SessionStoreError';
  }
}
