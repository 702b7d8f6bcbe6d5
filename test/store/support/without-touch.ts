import type { SessionStore } from 'nestjs-typeorm-session';

/** A `touchAfter` that is never due in a test. */
export const NEVER = 100 * 3_600_000;

/** Tells the store what a session tells it where no touch is due, for which alone PostgreSQL may have functions. */
export function withoutTouch(store: SessionStore): SessionStore {
  const update = store.update.bind(store);
  store.update = (ref, delta, touchAfter) => update(ref, delta, touchAfter >= NEVER ? Infinity : touchAfter);
  return store;
}
