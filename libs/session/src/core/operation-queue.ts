import { isSessionFault, type SessionFault } from './errors.js';

/** Settles when the operations that were started before have ended. */
export type Turn = Promise<unknown> | undefined;

/** An operation: it runs at once as far as its first `await`, which is for its turn. It never throws synchronously. */
export type Work<R> = (turn: Turn) => Promise<R>;

/** The operations of one request: they write in the order in which they were called. */
export class OperationQueue {
  /** Settles with the last one that was started; `undefined` where none runs. */
  #running: Promise<unknown> | undefined;
  #rejected: SessionFault | undefined;

  /** Settles with the operations that were started; `undefined` where none runs. Never rejects. */
  get running(): Promise<unknown> | undefined {
    return this.#running;
  }

  /** The first operation that failed, awaited or not. */
  get rejected(): SessionFault | undefined {
    return this.#rejected;
  }

  /**
   * Starts an operation. A session error that nobody awaits counts as handled, for the response tells it; an error of the
   * application's own, thrown in `update(key, fn)`, is the caller's, as of any promise.
   */
  start<R>(work: Work<R>): Promise<R> {
    const before = this.#running;
    const result = work(before);
    const answer = result.then((value) => value);
    const settled: Promise<unknown> = result
      .then(
        () => undefined,
        (error: unknown) => {
          if (!isSessionFault(error)) return;
          this.#rejected ??= error;
          answer.catch(() => {});
        },
      )
      // It may have been refused before its turn.
      .then(() => before)
      .then(() => {
        if (this.#running === settled) this.#running = undefined;
      });
    this.#running = settled;
    return answer;
  }
}
