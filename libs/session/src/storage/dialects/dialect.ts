import type { DataSource, QueryRunner, TableOptions } from 'typeorm';
import type { SessionEvent } from '../../core/events.js';
import type { SessionLifetime } from '../../core/options.js';
import type { AtomicOperation, Delta, Found, NewSession, Replacement, SessionRef } from '../../core/store.js';
import type { Announcements } from '../cache/announcements.js';
import type { Connection, Operation, Runner } from '../connection.js';
import type { SessionTable } from '../session-table.js';
import type { AskedHashes } from './asked-hashes.js';

/** What a session's row looks like when a write has missed it. */
export interface Look {
  readonly isLive: boolean;
  readonly isOurs: boolean;
  /** It carries the mark of the write in question. */
  readonly isMarked: boolean;
  readonly version: number;
  /** JSON text of the key that was asked for. */
  readonly value: string | undefined;
  readonly expiresAt: number;
}

/** When a session ends now, in milliseconds since the epoch; `undefined` where the statement found no row to write. */
export type Expiry = number | undefined;

/** What is known of one of the hashes that were looked up. */
export interface FoundRow {
  readonly tokenHash: Buffer;
  readonly found: Found;
}

/** A session to be inserted as it travels with others. `mark` becomes the row's `lastWrite`. */
export interface RowCreation {
  readonly session: NewSession;
  readonly mark: string;
}

/** An update as it travels with others. `mark` becomes the row's `lastWrite`. */
export interface RowUpdate {
  readonly ref: SessionRef;
  readonly delta: Delta;
  readonly touchAfter: number;
  readonly mark: string;
}

/** What a cookie can say of a session's life. */
export type IdleLifetime = Pick<SessionLifetime, 'idleTimeout' | 'persistent'>;

export interface RowTouch {
  readonly ref: SessionRef;
  readonly touchAfter: number;
}

/**
 * What the store does, on one database. Each is one conditional statement, or, where the database has no
 * `UPDATE … RETURNING` and a value is to be answered, a short transaction that locks the row. `mark` becomes the row's
 * `lastWrite`.
 */
export interface SessionOperations {
  create(session: NewSession, mark: string): Operation<Expiry>;
  find(asked: AskedHashes): Operation<FoundRow[]>;
  /** The session's row whatever its token and expiry. */
  look(id: string, tokenHash: Buffer, key: string | undefined, mark: string | undefined): Operation<Look | undefined>;
  update(ref: SessionRef, delta: Delta, touchAfter: number, mark: string): Operation<Expiry>;
  touch(ref: SessionRef, touchAfter: number): Operation<Expiry>;
  /**
   * Many INSERTs in one statement, no token twice, that waits long for no lock. Answers in their order; `undefined` proves
   * nothing, as of `updateMany`. Default: none, and INSERTs share no statement.
   */
  createMany?(creations: readonly RowCreation[]): Operation<readonly Expiry[]>;
  /**
   * Many updates in one statement, no session twice, that waits for no row's lock. Answers in their order; `undefined`
   * proves nothing, but that this statement did not write the row. Default: none, and updates share no statement.
   */
  updateMany?(updates: readonly RowUpdate[]): Operation<readonly Expiry[]>;
  /** The same for touches. */
  touchMany?(touches: readonly RowTouch[]): Operation<readonly Expiry[]>;
  replace(ref: SessionRef, replacement: Replacement, delta: Delta, touchAfter: number, mark: string): Operation<Expiry>;
  /** `undefined` where there is no such row, or its value does not fit. */
  apply(
    ref: SessionRef,
    operation: AtomicOperation,
    maxBytes: number,
    mark: string,
  ): Operation<{ value: string | undefined } | undefined>;
  /** Gives the session another idle timeout, which counts from now and may end it earlier than the one before. */
  retime(ref: SessionRef, delta: Delta, lifetime: IdleLifetime, mark: string): Operation<Expiry>;
  delete(ref: SessionRef): Operation<boolean>;
  deleteExpired(limit: number): Operation<number>;
  /** Sessions that are live or unreadable, in no order. */
  list(limit: number): Operation<FoundRow[]>;
  /** How many are live. */
  count(): Operation<number>;
  /** Deletes sessions, whatever their state; waits for those who write to them. */
  deleteAny(limit: number): Operation<number>;
}

/** Sentences for what the boot check finds, by the `reason` of the failed statement. */
export type SetupProblem = 'no-table' | 'no-column' | 'no-permission';

/** A function in the database, and how it is made and removed. */
export interface DatabaseFunction {
  readonly create: string;
  readonly drop: string;
}

/** The way to the database that an application's data source has open. */
export interface DialectConnection {
  readonly runner: Runner;
  /** Finds which of the dialect's functions are in the database, and calls them from now on. Default: there are none. */
  findFunctions?(connection: Connection, table: SessionTable): Promise<void>;
  /** The connection of a query runner that is in a transaction of the application. */
  join(queryRunner: Pick<QueryRunner, 'connect'>): Promise<Connection>;
}

/** One database family. Differences between databases live in its implementations and nowhere else. */
export interface SessionDialect {
  /** TypeORM's `type` of the data sources that it serves. */
  readonly types: readonly string[];
  /** The parameter of a statement at a position, counted from 1. */
  placeholder(position: number): string;
  /** The class that an application's entity for it extends for columns of its own. */
  readonly columnsName: string;
  /**
   * @param warn is told of a set-up that works and will hurt.
   * @param prepares statements by name; see `preparesStatements`. Default: false.
   */
  connect(dataSource: DataSource, warn: (sentence: string) => void, prepares?: boolean): DialectConnection;

  /** Whether it can prepare statements by name. Default: false. */
  readonly preparesStatements?: boolean;
  /** @param announces whether `replace` and `delete` tell other nodes, as a part of what they commit. */
  operations(table: SessionTable, announces?: boolean): SessionOperations;
  /** How nodes with a cache hear of each other. Default: they do not, and caches go by time alone. */
  announcements?(
    dataSource: DataSource,
    table: SessionTable,
    runner: Runner,
    reports: { emit(event: SessionEvent): void; warn(sentence: string): void },
  ): Announcements;
  /** What the server and the table have to be or to be set to; throws a SessionConfigError that says so. Default: nothing. */
  checkServer?(connection: Connection, table: SessionTable): Promise<void>;
  /** Why the server takes no writes; `undefined` where it does. Waits for no lock of a row. */
  readOnlyReason(connection: Connection, table: SessionTable): Promise<string | undefined>;
  problemOf(reason: string): SetupProblem | undefined;
  /** The table of the dialect's entity, for the migration. */
  readonly table: TableOptions;
  /** What TypeORM cannot say of that table, for the migration as well. Default: nothing. */
  readonly tableSettings?: readonly string[];
  /** Functions that stand for statements, for a migration of their own. Default: none. */
  functions?(table: SessionTable): DatabaseFunction[];
}

/** What a token, a user's sessions, expired rows and a replaced token are found by. */
export const SESSION_INDICES: NonNullable<TableOptions['indices']> = [
  { columnNames: ['token_hash'], isUnique: true },
  { columnNames: ['user_id'] },
  { columnNames: ['expires_at'] },
  { columnNames: ['previous_token_hash'] },
];
