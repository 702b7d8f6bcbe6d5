import {
  StatementError,
  type Connection,
  type Operation,
  type RawRow,
  type Runner,
  type Statement,
  type StatementFailure,
  type StatementResult,
} from './connection.js';
import type { DialectConnection } from './dialects/dialect.js';

/** How a driver's error is to be taken. */
export interface SqliteFailure {
  readonly failure: StatementFailure;
  readonly reason: string;
}

/** What a driver of SQLite can do, without its peculiarities. A statement is over when its call returns. */
export interface SqliteDriver<D> {
  /** Whether sessions have a connection of their own. If not, they use TypeORM's, and are part of what it has begun. */
  readonly isApart: boolean;
  /** The connection for sessions. */
  connect(): Promise<D>;
  /** @throws what the driver throws. */
  query(database: D, statement: Statement): StatementResult;
  describe(error: unknown): SqliteFailure;
  /** Keeps what was written, where the database is no file. */
  save?(): Promise<void>;
  close?(): void;
}

/** The way to a database that runs in this process. */
export function connectSqlite<D>(driver: SqliteDriver<D>): DialectConnection {
  return {
    runner: new SqliteRunner(driver),
    join: async (queryRunner) => new SqliteConnection(driver, (await queryRunner.connect()) as D, 'joined'),
  };
}

/**
 * Operations on the one connection that there is for sessions, one after the other: a statement of another request would
 * otherwise get into a transaction that is not its own. That costs no time, since no two statements ever run at once.
 */
class SqliteRunner<D> implements Runner {
  readonly mayRepeat = true;
  readonly #driver: SqliteDriver<D>;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(driver: SqliteDriver<D>) {
    this.#driver = driver;
  }

  async run<R>(operation: Operation<R>, milliseconds: number): Promise<R> {
    if (this.#isClosed) throw new StatementError('unsent', 'closed');
    const deadline = performance.now() + milliseconds;
    const turn = this.#last.then(async () => {
      // Nothing can be cut short: a statement has this thread for itself. So only the wait is limited.
      if (performance.now() >= deadline) throw new StatementError('unsent', 'deadline');
      return this.#operate(operation);
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    this.#driver.close?.();
  }

  async #operate<R>(operation: Operation<R>): Promise<R> {
    const connection = new SqliteConnection(
      this.#driver,
      await this.#connect(),
      this.#driver.isApart ? 'own' : 'shared',
    );
    const result = await operation(connection);
    if (connection.hasWritten) await this.#driver.save?.();
    return result;
  }

  async #connect(): Promise<D> {
    try {
      return await this.#driver.connect();
    } catch (error) {
      const { failure, reason } = this.#driver.describe(error);
      throw new StatementError(failure === 'rolledBack' ? failure : 'unsent', reason);
    }
  }
}

/** A connection of ours, or TypeORM's: there we may be in a transaction of the application, or know that we are. */
class SqliteConnection<D> implements Connection {
  readonly #driver: SqliteDriver<D>;
  readonly #database: D;
  readonly #kind: 'own' | 'shared' | 'joined';
  /** It is in a transaction: nothing that was sent so far can have been committed. */
  #isUndecided: boolean;
  #hasWritten = false;

  constructor(driver: SqliteDriver<D>, database: D, kind: 'own' | 'shared' | 'joined') {
    this.#driver = driver;
    this.#database = database;
    this.#kind = kind;
    this.#isUndecided = kind === 'joined';
  }

  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  async run(statement: Statement): Promise<StatementResult> {
    try {
      const result = this.#driver.query(this.#database, statement);
      this.#hasWritten ||= !statement.sql.startsWith('SELECT');
      return result;
    } catch (error) {
      const { failure, reason } = this.#driver.describe(error);
      throw new StatementError(failure === 'lost' && this.#isUndecided ? 'away' : failure, reason);
    }
  }

  async transaction<R>(work: () => Promise<R>): Promise<R> {
    // On TypeORM's connection, the application's own BEGIN would find itself in a transaction of ours.
    if (this.#kind !== 'own' || this.#isUndecided) return work();
    // A transaction that begins with reading may find that it cannot write any more.
    await this.run({ sql: 'BEGIN IMMEDIATE', parameters: [] });
    this.#isUndecided = true;
    try {
      const result = await work();
      this.#isUndecided = false;
      await this.run({ sql: 'COMMIT', parameters: [] });
      return result;
    } catch (error) {
      // A COMMIT that others' reading has held up leaves its transaction open.
      await this.#rollBack();
      throw error;
    } finally {
      this.#isUndecided = false;
    }
  }

  async #rollBack(): Promise<void> {
    try {
      await this.run({ sql: 'ROLLBACK', parameters: [] });
    } catch {
      // The database has undone it by itself, and so there is no transaction.
    }
  }
}

/**
 * How a failure is to be taken, by its name (https://www.sqlite.org/rescode.html). A mistake in SQL has none of its own,
 * so what is missing is read from the message. Nothing else of that goes on: it may hold values.
 */
export function sqliteFailure(code: string, message: string): SqliteFailure {
  return { failure: failureOf(code), reason: MISSING.exec(message)?.[0] ?? code };
}

/** A table or column that is not there. */
const MISSING = /^no such table|^no such column|has no column named/;

/** What a column holds. */
export type SqliteValue = string | number | bigint | Uint8Array | null;

/** The values of a row, as text. */
export function rawRow(values: readonly SqliteValue[]): RawRow {
  // Where tests have a realm of their own, the arrays of a native driver are of another: `map` would keep that.
  return Array.from(values, (value) => (value === null ? null : value.toString()));
}

function failureOf(code: string): StatementFailure {
  const [, name] = code.split('_');
  switch (name) {
    // PROTOCOL: lost a race for the locks of a write-ahead log.
    case 'BUSY':
    case 'LOCKED':
    case 'PROTOCOL':
      return 'rolledBack';
    case 'IOERR':
      return 'lost';
    case 'CANTOPEN':
    case 'FULL':
    case 'INTERRUPT':
    case 'NOMEM':
    case 'READONLY':
      return 'away';
    default:
      return 'refused';
  }
}
