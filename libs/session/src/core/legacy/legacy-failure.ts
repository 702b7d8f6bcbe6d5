import { SessionStoreError } from '../errors.js';

/** Whatever the old store throws is an outage of it. Its message stays out: it may hold an id or what a session holds. */
export function legacyFailure(error: unknown): SessionStoreError {
  if (error instanceof SessionStoreError) return error;
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown };
  return new SessionStoreError(
    'unavailable',
    typeof code === 'string' && /^[A-Z0-9_]{1,32}$/.test(code) ? code : 'migrateFrom',
  );
}
