import { setTimeout as delay } from 'node:timers/promises';
import {
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhenResult,
} from 'cockatiel';
import { StatementError, type Operation, type Runner } from './connection.js';

/** Operations in a row that got no answer: then the database counts as away. */
const FAILURES = 5;

/** Milliseconds without asking the database, at first and at most. Drawn around these, so that nodes do not ask together. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 1_000;

/** Milliseconds after which another question is put beside one that is not answered, on another connection. */
const PATIENCE = 500;

type Outcome<R> = { readonly value: R } | { readonly error: unknown; readonly isAway: boolean };

/**
 * Keeps a database that is away from holding every request for its whole deadline: after some operations in a row that
 * got no answer, the next ones fail at once, as not sent. Who comes after a short pause asks whether it is back, and waits
 * for the answer; the others still fail at once. What the database says, be it an error, is an answer.
 */
export class BreakingRunner implements Runner {
  readonly #runner: Runner;
  /** When the database answered last, on the monotonic clock. */
  #answeredAt = -Infinity;
  readonly #breaker = circuitBreaker(
    handleWhenResult((outcome) => isAway(outcome as Outcome<unknown>)),
    {
      halfOpenAfter: new ExponentialBackoff({ initialDelay: FIRST_PAUSE, maxDelay: LONGEST_PAUSE }),
      breaker: new ConsecutiveBreaker(FAILURES),
    },
  );

  constructor(runner: Runner) {
    this.#runner = runner;
  }

  get mayRepeat(): boolean {
    return this.#runner.mayRepeat;
  }

  async run<R>(operation: Operation<R>, milliseconds: number): Promise<R> {
    const deadline = performance.now() + milliseconds;
    if (this.#breaker.state !== CircuitState.Closed) await this.#askWhetherBack(deadline);
    return this.#broken(() => this.#runner.run(operation, Math.max(1, deadline - performance.now())));
  }

  async close(): Promise<void> {
    await this.#runner.close?.();
  }

  async #askWhetherBack(deadline: number): Promise<void> {
    // The breaker lets all who come meanwhile wait for the one who asks; of a database that is silent that is too long.
    if (this.#breaker.state === CircuitState.HalfOpen) throw isBroken();
    try {
      await this.#broken(() => this.#ping(deadline));
    } catch {
      throw isBroken();
    }
  }

  /** Runs something under the breaker, and counts its outcome. */
  async #broken<R>(work: () => Promise<R>): Promise<R> {
    let outcome: Outcome<R>;
    try {
      outcome = await this.#breaker.execute(() => this.#outcomeOf(work()));
    } catch (error) {
      throw error instanceof BrokenCircuitError ? isBroken() : error;
    }
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  async #outcomeOf<R>(work: Promise<R>): Promise<Outcome<R>> {
    const began = performance.now();
    try {
      const value = await work;
      this.#answeredAt = performance.now();
      return { value };
    } catch (error) {
      if (!isSilence(error)) this.#answeredAt = performance.now();
      // Others were answered meanwhile: this one's connection is dead, or it waits for a lock.
      return { error, isAway: isSilence(error) && !isStarved(error) && this.#answeredAt < began };
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

function isAway(outcome: Outcome<unknown>): boolean {
  return 'error' in outcome && outcome.isAway;
}

/** Whether a failure is none that the database has answered. */
function isSilence(error: unknown): boolean {
  return error instanceof StatementError && (error.failure === 'unsent' || error.failure === 'lost');
}

function isStarved(error: unknown): boolean {
  return error instanceof StatementError && error.isStarved;
}

function isBroken(): StatementError {
  return new StatementError('unsent', 'breaker');
}
