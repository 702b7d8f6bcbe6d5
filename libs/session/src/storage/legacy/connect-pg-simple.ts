import type { DataSource } from 'typeorm';
import { SessionConfigError } from '../../core/errors.js';
import type { LegacyCookieOptions, LegacyTable } from '../../core/legacy/legacy-sessions.js';
import { checkName, legacyNames, LegacyTableSessions } from './legacy-table.js';

/** {@link connectPgSimple} */
export interface ConnectPgSimpleOptions extends LegacyCookieOptions {
  /** Default: `session`. */
  tableName?: string;
  /** Default: none, so the search path of the connection decides. */
  schemaName?: string;
}

/**
 * For `migrateFrom`: sessions that express-session or @fastify/session has kept with connect-pg-simple, in the database that
 * the sessions are in now. What is elsewhere is read with `read` and `remove` of one's own.
 */
export function connectPgSimple(options: ConnectPgSimpleOptions): LegacyCookieOptions & LegacyTable {
  const { tableName = 'session', schemaName, ...cookie } = options;
  const name = checkName(tableName, 'tableName of connectPgSimple()');
  const schema = schemaName === undefined ? undefined : checkName(schemaName, 'schemaName of connectPgSimple()');
  const connect = (dataSource: object, deadline: number) =>
    new LegacyTableSessions(dataSource as DataSource, statementsOf(dataSource as DataSource), name, deadline);

  function statementsOf(dataSource: DataSource) {
    const names = legacyNames(dataSource);
    if (names.type !== 'postgres') {
      throw new SessionConfigError(
        'connectPgSimple() reads PostgreSQL, and the data source of the sessions is another database.',
      );
    }
    const table = names.table(name, schema);
    // `expire` is a time without its zone: it is meant in that of the connection.
    const expires = '"expire"::timestamptz';
    return {
      read: (id: string) => ({
        sql:
          `SELECT "sid", "sess"::text, EXTRACT(EPOCH FROM ${expires} - clock_timestamp()) * 1000 FROM ${table} ` +
          `WHERE "sid" = $1 AND ${expires} > clock_timestamp()`,
        parameters: [id],
      }),
      touch: (id: string, milliseconds: number) => ({
        sql:
          `UPDATE ${table} SET "expire" = GREATEST(${expires}, clock_timestamp() + $1::float8 * interval '1 millisecond') ` +
          `WHERE "sid" = $2 AND ${expires} > clock_timestamp()`,
        parameters: [milliseconds, id],
      }),
      remove: (id: string) => ({ sql: `DELETE FROM ${table} WHERE "sid" = $1`, parameters: [id] }),
    };
  }

  return { ...cookie, connect };
}
