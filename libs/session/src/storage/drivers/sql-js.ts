import type { DataSource } from 'typeorm';
import { StatementError, type Statement, type StatementResult } from '../connection.js';
import { rawRow, sqliteFailure, type SqliteDriver, type SqliteFailure, type SqliteValue } from '../sqlite-runner.js';

/** As much of sql.js as sessions need. */
export interface SqlJsDatabase {
  prepare(sql: string): PreparedStatement;
  /** Of the last statement that changed rows. */
  getRowsModified(): number;
}
interface PreparedStatement {
  bind(parameters: readonly unknown[]): unknown;
  step(): boolean;
  get(): SqliteValue[];
  free(): unknown;
}
/** TypeORM's driver. */
interface SqlJsDriver {
  /** Another one, after `load()`. */
  readonly databaseConnection: SqlJsDatabase;
  /** Where the data source has the option `autoSave`, and is in no transaction. */
  autoSave(): Promise<void>;
}

/** TypeORM's own connection: a database in memory has no other. */
export class SqlJs implements SqliteDriver<SqlJsDatabase> {
  readonly isApart = false;
  readonly #driver: SqlJsDriver;

  constructor(dataSource: DataSource) {
    this.#driver = dataSource.driver as unknown as SqlJsDriver;
  }

  async connect(): Promise<SqlJsDatabase> {
    return this.#driver.databaseConnection;
  }

  query(database: SqlJsDatabase, { sql, parameters }: Statement): StatementResult {
    const statement = database.prepare(sql);
    try {
      statement.bind(parameters);
      const rows = [];
      while (statement.step()) rows.push(rawRow(statement.get()));
      return { rows, affected: database.getRowsModified(), insertId: 0 };
    } finally {
      statement.free();
    }
  }

  /** Errors of sql.js are messages. A closed database has no memory, it says. */
  describe(error: unknown): SqliteFailure {
    const { message = '' } = error as { message?: string };
    return sqliteFailure(message === 'out of memory' ? 'SQLITE_NOMEM' : 'SQLITE_ERROR', message);
  }

  async save(): Promise<void> {
    try {
      await this.#driver.autoSave();
    } catch {
      // It was written, so this is no `unavailable`; nor is it `unknown`, for which its mark would be sought and found.
      throw new StatementError('refused', 'autoSave');
    }
  }
}
