import type {
  Applied,
  AtomicOperation,
  AtomicOutcome,
  Delta,
  Found,
  JoinedStore,
  Missed,
  NewSession,
  ReadValue,
  Replacement,
  SessionRef,
  SessionStore,
  StoreHealth,
} from '../../core/store.js';

/**
 * Is told of a write before its caller is.
 *
 * @param isToAnnounce the data of the session has changed or may have, and the statement itself tells nobody.
 */
export type OnWrite = (id: string, isToAnnounce: boolean) => void;

/** A store that tells which sessions are written, whatever became of the write. */
export class WatchedStore implements SessionStore {
  readonly join?: (manager: object) => JoinedStore;
  readonly health?: () => Promise<StoreHealth>;
  readonly #inner: SessionStore;
  readonly #onWrite: OnWrite;

  constructor(inner: SessionStore, onWrite: OnWrite) {
    this.#inner = inner;
    this.#onWrite = onWrite;
    if (inner.join) this.join = (manager) => inner.join!(manager);
    if (inner.health) this.health = () => inner.health!();
  }

  check(): Promise<void> {
    return this.#inner.check();
  }

  create(session: NewSession): Promise<Applied> {
    return this.#inner.create(session);
  }

  find(tokenHashes: readonly Buffer[]): Promise<Found[]> {
    return this.#inner.find(tokenHashes);
  }

  read(ref: SessionRef, key: string, until?: number): Promise<ReadValue | Missed> {
    return this.#inner.read(ref, key, until);
  }

  update(ref: SessionRef, delta: Delta, touchAfter: number): Promise<Applied | Missed> {
    return this.#dataOf(ref, this.#inner.update(ref, delta, touchAfter));
  }

  touch(ref: SessionRef, touchAfter: number): Promise<Applied | undefined> {
    return this.#restOf(ref, this.#inner.touch(ref, touchAfter));
  }

  replace(ref: SessionRef, replacement: Replacement, delta: Delta, touchAfter: number): Promise<Applied | Missed> {
    return this.#restOf(ref, this.#inner.replace(ref, replacement, delta, touchAfter));
  }

  apply(ref: SessionRef, operation: AtomicOperation, until?: number): Promise<AtomicOutcome> {
    return this.#dataOf(ref, this.#inner.apply(ref, operation, until));
  }

  delete(ref: SessionRef): Promise<{ readonly status: 'deleted' } | Missed> {
    return this.#restOf(ref, this.#inner.delete(ref));
  }

  deleteExpired(limit: number): Promise<number> {
    return this.#inner.deleteExpired(limit);
  }

  async close(): Promise<void> {
    await this.#inner.close?.();
  }

  async #dataOf<R extends { readonly status: string }>({ id }: SessionRef, write: Promise<R>): Promise<R> {
    // A write that fails may have happened.
    let isToAnnounce = true;
    try {
      const outcome = await write;
      isToAnnounce = outcome.status === 'applied';
      return outcome;
    } finally {
      this.#onWrite(id, isToAnnounce);
    }
  }

  async #restOf<R>({ id }: SessionRef, write: Promise<R>): Promise<R> {
    try {
      return await write;
    } finally {
      this.#onWrite(id, false);
    }
  }
}
