import { setTimeout as delay } from 'node:timers/promises';
import { SessionStoreError } from '../core/errors.js';
import type { SessionEvent } from '../core/events.js';
import type { SessionStore } from '../core/store.js';

/** Milliseconds between two batches, so that requests get their turn at the database. */
const PAUSE = 20;
/** Milliseconds that a batch may take for the next one to be larger: what is in nobody's way may do more before it pauses. */
const QUICK = 50;
/** Times the batch size that a batch may grow to. */
const MAX_GROWTH = 10;
/** Batches of one run at most: what is left waits for the next run, of this node or another. */
const MAX_BATCHES = 500;

export interface CleanupResult {
  /** Rows deleted. */
  readonly deleted: number;
  /** Whether nothing expired was left that could be deleted at the time. */
  readonly done: boolean;
}

/**
 * Deletes expired rows in batches, which grow while there are more and the database is quick about it. Expiry never waits for it: a session is over when its time is, and this gives the space
 * back. Any number of nodes may run it at once, as they step around each other's rows.
 */
export class SessionCleanup {
  readonly #store: Pick<SessionStore, 'deleteExpired'>;
  readonly #batchSize: number;
  readonly #emit: (event: SessionEvent) => void;
  #running: Promise<CleanupResult> | undefined;
  readonly #stopped = new AbortController();

  /** @param batchSize rows of the first batch, and of all where the database is slow. */
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
    let limit = this.#batchSize;
    try {
      for (let batch = 0; batch < MAX_BATCHES && !this.#stopped.signal.aborted; batch++) {
        const asked = performance.now();
        const count = await this.#store.deleteExpired(limit);
        deleted += count;
        done = count < limit;
        if (done) break;
        limit = this.#nextLimit(limit, performance.now() - asked);
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

  /** As many rows as this database deletes quickly, by its last batch; twice as many as that at most, which may have been luck. */
  #nextLimit(limit: number, milliseconds: number): number {
    const quick = Math.min(Math.floor((limit * QUICK) / milliseconds), limit * 2);
    return Math.max(this.#batchSize, Math.min(quick, this.#batchSize * MAX_GROWTH));
  }
}
