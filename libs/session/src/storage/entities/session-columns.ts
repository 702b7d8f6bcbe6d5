/**
 * The columns of a session row, whatever the database. Each database family has a concrete entity with the column types
 * it needs; an application that wants columns of its own extends that one.
 */
export abstract class SessionColumns {
  /** Public handle (UUID): safe in lists and logs, survives regeneration. */
  id!: string;

  /** SHA-256 of the token. The token itself is nowhere but in the browser. */
  tokenHash!: Buffer;

  /** What the application stored, by key. */
  data!: Record<string, unknown>;

  /** Who signed in. */
  userId!: string | null;

  /** Grows by one with every change of the data. */
  version!: number;

  createdAt!: Date;

  /** When the idle expiry was moved last. */
  touchedAt!: Date;

  /** The earlier of idle and absolute expiry. */
  expiresAt!: Date;

  /** Set by the INSERT and by a sign-in; nothing else ever moves it. */
  absoluteExpiresAt!: Date;

  /** Milliseconds. */
  idleTimeout!: number;

  /** Whether the cookie outlives the browser. */
  persistent!: boolean;

  /** The token before the last regeneration: it only ever refuses. */
  previousTokenHash!: Buffer | null;

  previousTokenUntil!: Date | null;

  /** Mark of the last write: tells whether a write happened whose answer was lost. */
  lastWrite!: string;
}
