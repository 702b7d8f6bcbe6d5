import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SessionStoreError } from '../core/errors.js';
import type { SessionStore, StoreHealth } from '../core/store.js';
import { SESSION_STORE } from './session.tokens.js';

/** What `@nestjs/terminus` expects of an indicator. `reason` stands where the status is `down`. */
export type SessionHealthResult<Key extends string = string> = Record<
  Key,
  { readonly status: 'up' | 'down'; readonly reason?: string }
>;

/**
 * A health indicator for `@nestjs/terminus`, which it does not import: the shape of its answer is all that is expected.
 * It belongs into a readiness check. In a liveness check it would restart every node for an outage of the database.
 */
@Injectable()
export class SessionHealthIndicator {
  constructor(@Inject(SESSION_STORE) private readonly store: SessionStore) {}

  /**
   * `up` where sessions can be read and written now: the table answers, and the server is a primary that takes writes (not a
   * standby, not read-only, a Galera node that is synced). Takes no longer than the option `deadline`. Each call asks anew.
   *
   * @param key its name in the answer of the health check.
   */
  async isHealthy<Key extends string = 'sessions'>(key = 'sessions' as Key): Promise<SessionHealthResult<Key>> {
    const health = await (this.store.health?.() ?? lookUp(this.store));
    return { [key]: health } as SessionHealthResult<Key>;
  }
}

/** For a store of the application that has nothing of its own to say. */
async function lookUp(store: SessionStore): Promise<StoreHealth> {
  try {
    await store.find([randomBytes(32)]);
    return { status: 'up' };
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    return { status: 'down', reason: error.reason };
  }
}
