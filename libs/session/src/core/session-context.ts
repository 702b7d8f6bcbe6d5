import type { SessionErrorFactory, SessionFault } from './errors.js';
import type { SessionEvent } from './events.js';
import type { LegacyLink } from './legacy/legacy-link.js';
import type { LegacySessions } from './legacy/legacy-sessions.js';
import type { ResolvedSessionOptions } from './options.js';
import type { SessionStore, StoredSession } from './store.js';

/** Checks one value against the application's schema; returns the names of the constraints that it breaks. */
export type SchemaCheck = (key: string, value: unknown) => readonly string[];

/** What all sessions of an application share. */
export interface SessionContext {
  readonly store: SessionStore;
  readonly options: ResolvedSessionOptions;
  /** Where sessions move from, with the option `migrateFrom`. */
  readonly legacy?: LegacySessions;
  readonly schema: SchemaCheck | undefined;
  readonly toError: SessionErrorFactory;
  readonly emit: (event: SessionEvent) => void;
  /** Is told of an error that nobody expected, and that no caller is left to receive. */
  readonly report: (error: unknown) => void;
}

/** Where the row of a session that has moved says what it comes from. */
export const MOVED_KEY = '$moved';

/** What the request's cookies turned out to be. */
export type Origin =
  /** `cookieSent`: there was a cookie of ours, whatever it held, so a sign-out has something to clear. */
  | { readonly status: 'anonymous'; readonly cookieSent: boolean; readonly legacy?: LegacyLink }
  /** `token`: the session has moved here from another store, and its browser has yet to be told. */
  | {
      readonly status: 'live';
      readonly session: StoredSession;
      readonly legacy?: LegacyLink;
      readonly token?: string;
    }
  | { readonly status: 'replaced' }
  | { readonly status: 'ambiguous' }
  /** The database could not be asked: a matter for those who look, and for nobody else. */
  | { readonly status: 'failed'; readonly failure: SessionFault };

/** What the response has to tell the browser. `issue` and `expire` stand for operations that have committed. */
export type CookieInstruction =
  | { readonly kind: 'keep' }
  /** `maxAge`: seconds, or `undefined` for a cookie that ends with the browser. */
  | { readonly kind: 'issue'; readonly token: string; readonly maxAge: number | undefined }
  | { readonly kind: 'expire' };
