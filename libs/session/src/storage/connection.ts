/** SQL and its parameters. By default nothing is prepared by name, which poolers would not survive. */
export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** The values of a row in the order of the SELECT list, as the database spells them: no type parser has touched them. */
export type RawRow = readonly (string | null)[];

export interface StatementResult {
  readonly rows: readonly RawRow[];
  /** Rows that an INSERT, UPDATE or DELETE found. */
  readonly affected: number;
  /** What the statement gave to `LAST_INSERT_ID(expression)`, where the database has that; else 0. */
  readonly insertId: number;
}

/**
 * How a statement failed:
 * `unsent` never reached the database, `lost` may have been executed, `rolledBack` surely was not and may be tried
 * again at once, `away` was not and a healthy server would take it, `refused` is a mistake of ours or of the set-up.
 */
export type StatementFailure = 'unsent' | 'lost' | 'rolledBack' | 'away' | 'refused';

/** A failed statement. Holds no driver error: those print parameters. */
export class StatementError extends Error {
  constructor(
    readonly failure: StatementFailure,
    /** SQLSTATE, errno, `deadline` or `breaker`. */
    readonly reason: string,
    /** The wait was for a connection, and the application had all of them in use: that says nothing of the database. */
    readonly isStarved = false,
  ) {
    super(`${failure} (${reason})`);
    this.name = 'StatementError';
  }
}

/** One connection, for as long as an operation needs it. */
export interface Connection {
  /** @throws StatementError */
  run(statement: Statement): Promise<StatementResult>;

  /**
   * Runs the work in a transaction: undone where it throws, and part of the application's where the connection is in one
   * already.
   */
  transaction<R>(work: () => Promise<R>): Promise<R>;
}

/** What is done on one connection, and may be done again from the start where the database undid it. */
export type Operation<R> = (connection: Connection) => Promise<R>;

/** Gives operations a connection. */
export interface Runner {
  /** Whether an operation may be run again: not inside a transaction of the application. */
  readonly mayRepeat: boolean;

  /**
   * @param milliseconds for all of it, the wait for a connection included.
   * @throws StatementError
   */
  run<R>(operation: Operation<R>, milliseconds: number): Promise<R>;

  /** Gives back connections that were opened for sessions alone. */
  close?(): Promise<void>;
}
