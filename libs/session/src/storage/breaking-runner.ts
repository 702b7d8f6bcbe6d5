import { setTimeout as delay } from 'node:timers/promises';
import { StatementError, type Operation, type Runner } from './connection.js';

/** Operations in a row that got no answer: then the database counts as away. */
const FAILURES = 5;

/** Milliseconds without asking the database, at first and at most: up to so long, so that nodes do not ask together. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 1_000;

/** Milliseconds after which another question is put beside one that is not answered, on another connection. */
const PATIENCE = 500;

/**
 * Keeps a database that is away from holding every request for its whole deadline: after some operations in a row that
 * got no answer, the next ones fail at once, as not sent. Who comes after a short pause asks whether it is back, and waits
 * for the answer; the others still fail at once. What the database says, be it an error, is an answer.
 */
export class BreakingRunner implements Runner {
  readonly #runner: Runner;
  #failures = 0;
  /** When the database answered last. All times are of the monotonic clock: the other one may be set back by an hour. */
  #answeredAt = -Infinity;
  /** It is open, and nobody asks before this. */
  #openUntil: number | undefined;
  #pause = FIRST_PAUSE;
  #isAsking = false;

  constructor(runner: Runner) {
    this.#runner = runner;
  }

  get mayRepeat(): boolean {
    return this.#runner.mayRepeat;
  }

  async run<R>(operation: Operation<R>, milliseconds: number): Promise<R> {
    const deadline = performance.now() + milliseconds;
    if (this.#openUntil !== undefined) await this.#askWhetherBack(deadline);
    const began = performance.now();
    try {
      const result = await this.#runner.run(operation, Math.max(1, deadline - began));
      this.#answered();
      return result;
    } catch (error) {
      if (!isSilence(error)) this.#answered();
      // Where others were answered meanwhile, this one's connection is dead, or it waits for a lock.
      else if (!error.isStarved && this.#answeredAt < began) this.#failed();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#runner.close?.();
  }

  #answered(): void {
    this.#answeredAt = performance.now();
    this.#failures = 0;
    this.#openUntil = undefined;
    this.#pause = FIRST_PAUSE;
  }

  #failed(): void {
    this.#failures += 1;
    if (this.#failures >= FAILURES && this.#openUntil === undefined) this.#open();
  }

  #open(): void {
    this.#openUntil = performance.now() + this.#pause * (0.5 + Math.random() / 2);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }

  async #askWhetherBack(deadline: number): Promise<void> {
    if (this.#isAsking || performance.now() < this.#openUntil!) throw new StatementError('unsent', 'breaker');
    this.#isAsking = true;
    try {
      await this.#ping(deadline);
      this.#answered();
    } catch (error) {
      // A pool that the application has in use says nothing: then each finds out for itself.
      if (!isSilence(error) || error.isStarved) return this.#answered();
      this.#open();
      throw new StatementError('unsent', 'breaker');
    } finally {
      this.#isAsking = false;
    }
  }

  /** A connection that has died in silence must not keep us from noticing that others work. */
  async #ping(deadline: number): Promise<void> {
    const pings: Promise<unknown>[] = [];
    for (let left = deadline - performance.now(); left > 0; left = deadline - performance.now()) {
      const ping = this.#runner.run((connection) => connection.run({ sql: 'SELECT 1', parameters: [] }), left);
      // Where an earlier one decides, nobody listens to this one.
      ping.catch(() => {});
      pings.push(ping);
      const patience = delay(Math.min(PATIENCE, left), 'silence', { ref: false });
      if ((await Promise.race([...pings, patience])) !== 'silence') return;
    }
    throw new StatementError('unsent', 'deadline');
  }
}

/** Whether a failure is none that the database has answered. */
function isSilence(error: unknown): error is StatementError {
  return error instanceof StatementError && (error.failure === 'unsent' || error.failure === 'lost');
}
