// Symbol.for: an application may load this package twice, as ES module and as CommonJS, and both copies must mean the same.

/** The resolved options. */
export const SESSION_OPTIONS = Symbol.for('nestjs-typeorm-session.options');

/** The {@link SessionStore} in use. */
export const SESSION_STORE = Symbol.for('nestjs-typeorm-session.store');

/** Where sessions move from, with the option `migrateFrom`. */
export const SESSION_LEGACY = Symbol.for('nestjs-typeorm-session.legacy');

/** What all sessions of the application share. */
export const SESSION_CONTEXT = Symbol.for('nestjs-typeorm-session.context');
