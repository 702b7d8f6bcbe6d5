import { setTimeout as delay } from 'node:timers/promises';
import { BreakingRunner } from './breaking-runner.js';
import {
  StatementError,
  type Connection,
  type Operation,
  type Runner,
  type Statement,
  type StatementFailure,
  type StatementResult,
} from './connection.js';
import type { DialectConnection } from './dialects/dialect.js';

/** How a driver's error is to be taken. */
export interface DriverFailure {
  readonly failure: StatementFailure;
  readonly reason: string;
  /** A connection on which the next statement would fail as well. */
  readonly isConnectionUseless: boolean;
}

/** What a driver's pool can do, without its peculiarities. */
export interface DriverPool<C> {
  /** The primary's connection, also where reads are spread over replicas. */
  connect(): Promise<C>;
  /** @throws what the driver throws. */
  query(client: C, statement: Statement): Promise<StatementResult>;
  /** @param destroy closes the connection instead of keeping it. */
  release(client: C, destroy: boolean): void;
  describe(error: unknown): DriverFailure;
  /** All connections that there may be are in use, so who waits for one waits for the application. */
  readonly isExhausted: boolean;
  /** Begins a transaction. */
  readonly begin: readonly string[];
}

/** The way to a database whose driver has a pool. */
export function connectPool<C extends object>(pool: DriverPool<C>): DialectConnection {
  return {
    runner: new BreakingRunner(new PooledRunner(pool)),
    join: async (queryRunner) => new PooledConnection(pool, (await queryRunner.connect()) as C, true),
  };
}

/** Milliseconds before a server that took no connection is asked once more. */
const RECONNECT_PAUSE = 50;

/** What is known of an attempt that failed. */
interface Attempt {
  /** The connection had served before, so it may be as stale as all others that have. */
  wasKnown: boolean;
  /** It got a connection, on which the next statement would do better or not. */
  connection: 'none' | 'sound' | 'useless';
}

/** Operations on the application's own pool, underneath TypeORM, each under a deadline. */
export class PooledRunner<C extends object> implements Runner {
  readonly mayRepeat = true;
  readonly #pool: DriverPool<C>;
  readonly #known = new WeakSet<C>();

  constructor(pool: DriverPool<C>) {
    this.#pool = pool;
  }

  /**
   * What surely did nothing, for a reason that lies with its connection, is done on another: on each that has served
   * before (after a change of roles they may all lead to a server that only reads), and then once on a new one.
   */
  async run<R>(operation: Operation<R>, milliseconds: number): Promise<R> {
    const deadline = performance.now() + milliseconds;
    for (let isLast = false; ;) {
      const attempt: Attempt = { wasKnown: false, connection: 'none' };
      try {
        return await this.#attempt(operation, Math.max(1, deadline - performance.now()), attempt);
      } catch (error) {
        const pause = attempt.connection === 'none' ? RECONNECT_PAUSE : 0;
        if (isLast || !mayMove(error, attempt) || performance.now() + pause >= deadline) throw error;
        isLast = !attempt.wasKnown;
        if (pause > 0) await delay(pause);
      }
    }
  }

  #attempt<R>(operation: Operation<R>, milliseconds: number, attempt: Attempt): Promise<R> {
    const pool = this.#pool;
    return new Promise((resolve, reject) => {
      let connection: PooledConnection<C> | undefined;
      let isOver = false;
      const finish = (destroy: boolean) => {
        isOver = true;
        clearTimeout(timer);
        if (connection) pool.release(connection.client, destroy);
      };
      const timer = setTimeout(() => {
        const isStarved = !connection && pool.isExhausted;
        // A connection that still works on a statement nobody waits for must not serve the next one.
        finish(true);
        reject(new StatementError(connection ? connection.failureAt('lost') : 'unsent', 'deadline', isStarved));
      }, milliseconds);

      const onConnected = (client: C) => {
        // The wait outlasted the deadline: the connection goes back unused.
        if (isOver) return pool.release(client, false);
        const opened = new PooledConnection(pool, client);
        connection = opened;
        attempt.wasKnown = this.#known.has(client);
        this.#known.add(client);
        operation(opened).then(
          (result) => {
            if (isOver) return;
            finish(false);
            resolve(result);
          },
          (error: unknown) => {
            if (isOver) return;
            attempt.connection = opened.isUseless ? 'useless' : 'sound';
            finish(opened.isUseless);
            reject(error);
          },
        );
      };
      const onRefused = (error: unknown) => {
        if (isOver) return;
        finish(false);
        reject(new StatementError('unsent', pool.describe(error).reason));
      };
      pool.connect().then(onConnected, onRefused);
    });
  }
}

/** Whether it surely did nothing, and another connection may do better. */
function mayMove(error: unknown, { connection }: Attempt): boolean {
  if (!(error instanceof StatementError) || connection === 'sound') return false;
  return (error.failure === 'unsent' || error.failure === 'away') && error.reason !== 'deadline';
}

/** A connection that an operation has for itself, or shares with the application's transaction. */
export class PooledConnection<C> implements Connection {
  readonly client: C;
  readonly #pool: DriverPool<C>;
  /** It is in a transaction: nothing that was sent so far can have been committed. */
  #isUndecided: boolean;
  #isUseless = false;

  /** @param isJoined the application has begun a transaction on it. */
  constructor(pool: DriverPool<C>, client: C, isJoined = false) {
    this.#pool = pool;
    this.client = client;
    this.#isUndecided = isJoined;
  }

  /** Whether the next statement on this connection would fail as well. */
  get isUseless(): boolean {
    return this.#isUseless;
  }

  /** A transaction whose COMMIT was not sent is undone with its connection. */
  failureAt(failure: StatementFailure): StatementFailure {
    return failure === 'lost' && this.#isUndecided ? 'away' : failure;
  }

  async run(statement: Statement): Promise<StatementResult> {
    try {
      return await this.#pool.query(this.client, statement);
    } catch (error) {
      const { failure, reason, isConnectionUseless } = this.#pool.describe(error);
      this.#isUseless ||= isConnectionUseless;
      throw new StatementError(this.failureAt(failure), reason);
    }
  }

  async transaction<R>(work: () => Promise<R>): Promise<R> {
    if (this.#isUndecided) return work();
    this.#isUndecided = true;
    for (const sql of this.#pool.begin) await this.run({ sql, parameters: [] });
    let result: R;
    try {
      result = await work();
    } catch (error) {
      await this.#rollBack();
      this.#isUndecided = false;
      throw error;
    }
    this.#isUndecided = false;
    await this.run({ sql: 'COMMIT', parameters: [] });
    return result;
  }

  async #rollBack(): Promise<void> {
    try {
      await this.run({ sql: 'ROLLBACK', parameters: [] });
    } catch {
      // Closing it undoes the transaction as well.
      this.#isUseless = true;
    }
  }
}
