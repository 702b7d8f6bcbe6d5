import { SessionConfigError } from '../../core/errors.js';
import type { SessionDialect } from './dialect.js';
import { mariadbDialect } from './mariadb.js';
import { mysqlDialect } from './mysql.js';
import { postgresDialect } from './postgres.js';
import { sqliteDialect } from './sqlite.js';

const DIALECTS: readonly SessionDialect[] = [postgresDialect, mariadbDialect, mysqlDialect, sqliteDialect];

/**
 * The dialect of a data source's `type`.
 *
 * @throws SessionConfigError where there is none.
 */
export function dialectFor(type: string): SessionDialect {
  const dialect = DIALECTS.find(({ types }) => types.includes(type));
  if (dialect) return dialect;
  const types = DIALECTS.flatMap((known) => known.types).map((known) => `"${known}"`);
  throw new SessionConfigError(
    `Sessions cannot be kept in a database of type "${type}": only in ${types.slice(0, -1).join(', ')} or ${types.at(-1)}.`,
  );
}
