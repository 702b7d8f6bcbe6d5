import { setTimeout as delay } from 'node:timers/promises';
import { SessionStoreError } from '../core/errors.js';
import type { SessionEvent } from '../core/events.js';
import type { SessionStore } from '../core/store.js';

/** Milliseconds between two batches, so that requests get their turn at the database. */
const PAUSE = 20;
/** Batches of one run at most: what is left waits for the next run, of this node or another. */
const MAX_BATCHES = 500;

export interface CleanupResult {
  /** Rows deleted. */
  readonly deleted: number;
  /** Whether nothing expired was left that could be deleted at the time. */
  readonly done: boolean;
}

/**
 * Deletes expired rows in batches. Expiry never waits for it: a session is over when its time is, and this gives the space
 * back. Any number of nodes may run it at once, as they step around each other's rows.
 */
export class SessionCleanup {
  readonly #store: Pick<SessionStore, 'deleteExpired'>;
  readonly #batchSize: number;
  readonly #emit: (event: SessionEvent) => void;
  #running: Promise<CleanupResult> | undefined;
  readonly #stopped = new AbortController();

  constructor(store: Pick<SessionStore, 'deleteExpired'>, batchSize: number, emit: (event: SessionEvent) => void) {
    this.#store = store;
    this.#batchSize = batchSize;
    this.#emit = emit;
  }

  /** Deletes what has expired. A call while one runs joins that one. */
  run(): Promise<CleanupResult> {
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    return this.#running;
  }

  /** Ends a run after the batch at hand, and waits for it. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    // Its failure is the business of who called run().
    await this.#running?.catch(() => {});
  }

  async #run(): Promise<CleanupResult> {
    const started = performance.now();
    let deleted = 0;
    let done = false;
    try {
      for (let batch = 0; batch < MAX_BATCHES && !this.#stopped.signal.aborted; batch++) {
        const count = await this.#store.deleteExpired(this.#batchSize);
        deleted += count;
        done = count < this.#batchSize;
        if (done) break;
        // It keeps the process alive: a command on SQLite has nothing else that does, and would end here.
        await delay(PAUSE);
      }
    } catch (error) {
      if (error instanceof SessionStoreError) {
        this.#emit({ type: 'store-failed', operation: 'cleanup', reason: error.reason });
      }
      throw error;
    }
    if (deleted > 0) this.#emit({ type: 'cleanup', deleted, milliseconds: Math.round(performance.now() - started) });
    return { deleted, done };
  }
}
