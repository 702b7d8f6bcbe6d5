import type { DataSource } from 'typeorm';
import type { LegacyCookieOptions, LegacyTable } from '../../core/legacy/legacy-sessions.js';
import { checkName, legacyNames, LegacyTableSessions, type LegacyStatements } from './legacy-table.js';

/** Columns of connect-typeorm's `ISession`. */
interface LegacyColumns {
  id: string;
  json: string;
  expiredAt: string;
  destroyedAt: string;
}

/** {@link connectTypeorm} */
export interface ConnectTypeormOptions extends LegacyCookieOptions {
  /** Default: `session`, as TypeORM calls the table of a class `Session`. */
  tableName?: string;
  /** Default: none, so the connection decides. */
  schemaName?: string;
  /** Names of the columns in the database, where a naming strategy has changed them. Default: as `ISession` has them. */
  columns?: Partial<LegacyColumns>;
}

const COLUMNS: LegacyColumns = { id: 'id', json: 'json', expiredAt: 'expiredAt', destroyedAt: 'destroyedAt' };

/**
 * For `migrateFrom`: sessions that express-session has kept with connect-typeorm, in the database that the sessions are in
 * now. The entity of the old store is not needed for it.
 */
export function connectTypeorm(options: ConnectTypeormOptions): LegacyCookieOptions & LegacyTable {
  const { tableName = 'session', schemaName, columns, ...cookie } = options;
  const name = checkName(tableName, 'tableName of connectTypeorm()');
  const schema = schemaName === undefined ? undefined : checkName(schemaName, 'schemaName of connectTypeorm()');
  const called = Object.entries({ ...COLUMNS, ...columns }).map(([property, column]) => [
    property,
    checkName(column, `columns.${property} of connectTypeorm()`),
  ]);
  const connect = (dataSource: object, deadline: number) =>
    new LegacyTableSessions(dataSource as DataSource, statementsOf(dataSource as DataSource), name, deadline);

  function statementsOf(dataSource: DataSource): LegacyStatements {
    const { placeholder, quote, table: tableOf } = legacyNames(dataSource);
    const table = tableOf(name, schema);
    const { id, json, expiredAt, destroyedAt } = Object.fromEntries(
      called.map(([property, column]) => [property, quote(column!)]),
    ) as unknown as LegacyColumns;
    const [first, second, third] = [1, 2, 3].map(placeholder);
    // By the clock of this process, which is what connect-typeorm has written it by.
    return {
      read: (oldId) => {
        const now = Date.now();
        // With a name, or on MariaDB the moment is the column's, and mysql2 keeps a parser for each.
        const sql =
          `SELECT ${id}, ${json}, ${expiredAt} - ${first} AS remaining FROM ${table} ` +
          `WHERE ${id} = ${second} AND ${expiredAt} > ${third} AND ${destroyedAt} IS NULL`;
        return { sql, parameters: [now, oldId, now] };
      },
      touch: (oldId, milliseconds) => {
        const until = Date.now() + milliseconds;
        const sql =
          `UPDATE ${table} SET ${expiredAt} = ${first} ` +
          `WHERE ${id} = ${second} AND ${expiredAt} < ${third} AND ${destroyedAt} IS NULL`;
        return { sql, parameters: [until, oldId, until] };
      },
      // Its own way: a row that says so keeps a late save from bringing the session back.
      remove: (oldId) => ({
        sql: `UPDATE ${table} SET ${destroyedAt} = CURRENT_TIMESTAMP WHERE ${id} = ${first} AND ${destroyedAt} IS NULL`,
        parameters: [oldId],
      }),
    };
  }

  return { ...cookie, connect };
}
