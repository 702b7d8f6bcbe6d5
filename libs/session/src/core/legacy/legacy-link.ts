import { SessionStoreError } from '../errors.js';
import { legacyFailure } from './legacy-failure.js';
import type { LegacySessions } from './legacy-sessions.js';

/** The old sessions that belong to the session of a request: they end with its token. */
export class LegacyLink {
  readonly #legacy: LegacySessions;
  readonly #ids: readonly string[];
  #hasEnded = false;

  /** @param ids the one that the session has moved from, and the one of the request's old cookie. */
  constructor(legacy: LegacySessions, ids: readonly string[]) {
    this.#legacy = legacy;
    this.#ids = ids;
  }

  /** Whether the browser can forget the old cookie. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /**
   * @param isLate something else has been written before, and that stays.
   * @throws SessionStoreError
   */
  async end(isLate = false): Promise<void> {
    if (this.#hasEnded) return;
    try {
      await Promise.all(this.#ids.map((id) => this.#legacy.remove(id)));
    } catch (error) {
      const failure = legacyFailure(error);
      throw isLate ? new SessionStoreError('unknown', failure.reason) : failure;
    }
    this.#hasEnded = true;
  }
}
