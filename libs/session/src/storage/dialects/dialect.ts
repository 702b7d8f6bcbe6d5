import type { AtomicOperation, Delta, NewSession, Replacement, SessionRef } from '../../core/store.js';
import type { SessionTable } from '../session-table.js';

/** SQL and its parameters, made anew for every call: nothing is prepared by name, which poolers would not survive. */
export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** The values of a row in the order of the SELECT list, as the database spells them: no type parser has touched them. */
export type RawRow = readonly (string | null)[];

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
    /** SQLSTATE, errno or `deadline`. */
    readonly reason: string,
  ) {
    super(`${failure} (${reason})`);
    this.name = 'StatementError';
  }
}

/** Runs one statement under a deadline. */
export interface StatementRunner {
  /** @param milliseconds the wait for a connection included. @throws StatementError */
  run(statement: Statement, milliseconds: number): Promise<RawRow[]>;
}

/** The statements of the store on one database. `mark` becomes the row's `lastWrite`. */
export interface SessionStatements {
  /** Touches every column and no row. */
  check(): Statement;
  create(session: NewSession, mark: string): Statement;
  find(tokenHashes: readonly Buffer[]): Statement;
  /** Answers a {@link LookedAt} row for a session whatever its token and expiry. */
  look(id: string, tokenHash: Buffer, key: string | undefined, mark: string | undefined): Statement;
  update(ref: SessionRef, delta: Delta, touchAfter: number, mark: string): Statement;
  touch(ref: SessionRef, touchAfter: number): Statement;
  replace(ref: SessionRef, replacement: Replacement, delta: Delta, touchAfter: number, mark: string): Statement;
  apply(ref: SessionRef, operation: AtomicOperation, maxBytes: number, mark: string): Statement;
  delete(ref: SessionRef): Statement;
  deleteExpired(limit: number): Statement;
}

/** One database family. Differences between databases live in its implementations and nowhere else. */
export interface SessionDialect {
  /** TypeORM's `type` of the data sources that it serves. */
  readonly type: string;
  statements(table: SessionTable): SessionStatements;
}
