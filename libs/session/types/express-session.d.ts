import 'express-session';

/**
 * For applications with `@types/express-session`, which types `req.session` by itself, with what the application has added to
 * its `SessionData`. This adds what ours can do besides.
 */
declare module 'express-session' {
  interface Session {
    regenerate(): Promise<void>;
    destroy(): Promise<void>;
    reload(): Promise<void>;
    save(): Promise<void>;
    touch(): Promise<void>;
  }
}
