import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { SessionConfigError } from '../../core/errors.js';
import type { ConnectedLegacySessions, LegacySession } from '../../core/legacy/legacy-sessions.js';
import { parseJson } from '../../core/parse-json.js';
import { StatementError, type Runner, type Statement, type StatementResult } from '../connection.js';
import { dialectFor } from '../dialects/dialects.js';
import { readError, storeError } from '../store-errors.js';

/** Milliseconds for the check at the start, when much else begins too. */
const CHECK_DEADLINE = 10_000;

/** SQL with parameters in the order in which they stand. */
export type LegacyStatement = (id: string, milliseconds: number) => Statement;

/** What is said to an old table. */
export interface LegacyStatements {
  /** Answers the id, the session as JSON, and the milliseconds until it expires; no row for one that has expired. */
  readonly read: LegacyStatement;
  readonly touch: LegacyStatement;
  readonly remove: LegacyStatement;
}

/** How a table and its columns are spelled in SQL. */
export interface LegacyNames {
  readonly type: string;
  /** Of the parameters, counted from 1. */
  placeholder(position: number): string;
  quote(name: string): string;
  table(name: string, schema: string | undefined): string;
}

/** The table of an old store, in the database of the sessions. */
export class LegacyTableSessions implements ConnectedLegacySessions {
  readonly #runner: Runner;
  readonly #statements: LegacyStatements;
  readonly #table: string;
  readonly #deadline: number;

  constructor(dataSource: DataSource, statements: LegacyStatements, table: string, deadline: number) {
    // A set-up that works and will hurt has been named already, by the store.
    this.#runner = dialectFor(dataSource.options.type).connect(dataSource, () => {}).runner;
    this.#statements = statements;
    this.#table = table;
    this.#deadline = deadline;
  }

  async check(): Promise<void> {
    try {
      await this.#run(this.#statements.read(randomUUID(), 0), CHECK_DEADLINE);
    } catch (error) {
      if (!(error instanceof StatementError)) throw error;
      throw new SessionConfigError(
        `The table ${this.#table} of migrateFrom cannot be read (${error.reason}). Compare the names in migrateFrom with the ` +
          'table that the old store has in this database, and grant the database user SELECT, UPDATE and DELETE on it.',
      );
    }
  }

  async read(id: string): Promise<LegacySession | undefined> {
    let result: StatementResult;
    try {
      result = await this.#run(this.#statements.read(id, 0), this.#deadline);
    } catch (error) {
      throw readError(error);
    }
    // Some collations find a text that differs in case or blanks.
    const row = result.rows.find(([found]) => found === id);
    const data = row && dataOf(row[1] ?? '');
    return data && { data, remaining: Number(row[2]) };
  }

  touch(id: string, milliseconds: number): Promise<void> {
    return this.#write(this.#statements.touch(id, Math.ceil(milliseconds)));
  }

  remove(id: string): Promise<void> {
    return this.#write(this.#statements.remove(id, 0));
  }

  async close(): Promise<void> {
    await this.#runner.close?.();
  }

  async #write(statement: Statement): Promise<void> {
    try {
      await this.#run(statement, this.#deadline);
    } catch (error) {
      throw storeError(error);
    }
  }

  /** Each of them may run twice: a connection that has died, or another transaction, costs one more try. */
  async #run(statement: Statement, milliseconds: number): Promise<StatementResult> {
    const end = performance.now() + milliseconds;
    const once = () =>
      this.#runner.run((connection) => connection.run(statement), Math.max(1, end - performance.now()));
    try {
      return await once();
    } catch (error) {
      const mayRepeat = error instanceof StatementError && ['lost', 'rolledBack'].includes(error.failure);
      if (!mayRepeat || performance.now() >= end) throw error;
      return once();
    }
  }
}

export function legacyNames(dataSource: DataSource): LegacyNames {
  const { type } = dataSource.options;
  const { placeholder } = dialectFor(type);
  const quote = (name: string) => dataSource.driver.escape(name);
  const table = (name: string, schema?: string) =>
    [...(schema === undefined ? [] : [schema]), name].map(quote).join('.');
  return { type, placeholder, quote, table };
}

/** Names go into SQL in quotes, and not every driver doubles those that are in a name. */
export function checkName(name: unknown, option: string): string {
  if (typeof name === 'string' && /^[^"'`\\\0]{1,128}$/.test(name)) return name;
  throw new SessionConfigError(
    `${option} must be the name of it in the database, as text without quotes or a backslash.`,
  );
}

/** `undefined` for what is no session. */
function dataOf(json: string): Record<string, unknown> | undefined {
  try {
    const data = parseJson(json);
    return typeof data === 'object' && data !== null && !Array.isArray(data)
      ? (data as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
