import type { DataSource } from 'typeorm';
import type { Statement, StatementResult } from '../connection.js';
import { rawRow, sqliteFailure, type SqliteDriver, type SqliteFailure, type SqliteValue } from '../sqlite-runner.js';

/** As much of better-sqlite3 as sessions need. */
export interface BetterSqlite3Database {
  pragma(source: string): unknown;
  prepare(sql: string): PreparedStatement;
  close(): unknown;
}
interface PreparedStatement {
  /** Whether it answers rows. */
  readonly reader: boolean;
  raw(): { all(...parameters: readonly unknown[]): SqliteValue[][] };
  run(...parameters: readonly unknown[]): { changes: number };
}
interface OpenOptions {
  readonly readonly: boolean;
  readonly fileMustExist: boolean;
  readonly timeout: number;
  readonly nativeBinding: string | null;
}
/** TypeORM's driver, and the options of the data source. */
interface BetterSqlite3Driver {
  readonly databaseConnection: BetterSqlite3Database;
  readonly sqlite: new (file: string, options: OpenOptions) => BetterSqlite3Database;
  readonly options: {
    readonly key?: string;
    readonly readonly?: boolean;
    readonly nativeBinding?: string;
    readonly prepareDatabase?: (database: BetterSqlite3Database) => void | Promise<void>;
    readonly verbose?: unknown;
  };
}

/**
 * A connection of our own to the application's file: TypeORM has one for all requests, where a session's write would be
 * part of whatever transaction somebody has begun. A database in memory is there for one connection only, TypeORM's.
 */
export class BetterSqlite3 implements SqliteDriver<BetterSqlite3Database> {
  readonly isApart: boolean;
  readonly #driver: BetterSqlite3Driver;
  readonly #file: string;
  #own: Promise<BetterSqlite3Database> | undefined;
  #opened: BetterSqlite3Database | undefined;

  constructor(dataSource: DataSource) {
    this.#driver = dataSource.driver as unknown as BetterSqlite3Driver;
    this.#file = fileOf(this.#driver.databaseConnection);
    this.isApart = this.#file !== '';
  }

  /** Whether TypeORM's connection tells somebody the values of its statements. */
  get isVerbose(): boolean {
    return Boolean(this.#driver.options.verbose);
  }

  async connect(): Promise<BetterSqlite3Database> {
    if (!this.isApart) return this.#driver.databaseConnection;
    this.#own ??= this.#open();
    try {
      return await this.#own;
    } catch (error) {
      this.#own = undefined;
      throw error;
    }
  }

  query(database: BetterSqlite3Database, { sql, parameters }: Statement): StatementResult {
    const statement = database.prepare(sql);
    if (!statement.reader) return { rows: [], affected: statement.run(...parameters).changes, insertId: 0 };
    const rows = Array.from(statement.raw().all(...parameters), rawRow);
    return { rows, affected: rows.length, insertId: 0 };
  }

  describe(error: unknown): SqliteFailure {
    const { code = '', message = '' } = error as { code?: string; message?: string };
    // Without a code it is better-sqlite3 that refused, so nothing has reached the database.
    if (!code.startsWith('SQLITE_')) return { failure: 'unsent', reason: 'connection' };
    return sqliteFailure(code, message);
  }

  close(): void {
    this.#opened?.close();
  }

  /** As TypeORM opens it, but for three options. */
  async #open(): Promise<BetterSqlite3Database> {
    const { key, readonly = false, nativeBinding = null, prepareDatabase } = this.#driver.options;
    // No `verbose`: it is told every statement with its values. And the wait for a lock is asynchronous, in the store:
    // better-sqlite3 would hold up the whole process, and with it the transaction that it waits for.
    const options = { readonly, fileMustExist: true, timeout: 0, nativeBinding };
    const database = new this.#driver.sqlite(this.#file, options);
    this.#opened = database;
    try {
      if (key) database.pragma(`key = ${JSON.stringify(key)}`);
      await prepareDatabase?.(database);
      database.pragma('foreign_keys = ON');
      // prepareDatabase may have set another.
      database.pragma('busy_timeout = 0');
    } catch (error) {
      database.close();
      throw error;
    }
    return database;
  }
}

/** The absolute path of a database's file; `''` where it has none. */
function fileOf(database: BetterSqlite3Database): string {
  const databases = database.pragma('database_list') as { name: string; file: string | null }[];
  return databases.find(({ name }) => name === 'main')?.file ?? '';
}
