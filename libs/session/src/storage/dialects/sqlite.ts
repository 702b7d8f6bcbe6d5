import type { DataSource } from 'typeorm';
import { applyAtomic } from '../../core/atomic.js';
import { SessionConfigError } from '../../core/errors.js';
import type { Delta, LifetimeChange, SessionRef } from '../../core/store.js';
import { PREVIOUS_TOKEN_MILLISECONDS } from '../../core/token.js';
import { StatementError, type Connection } from '../connection.js';
import { BetterSqlite3 } from '../drivers/better-sqlite3.js';
import { SqlJs } from '../drivers/sql-js.js';
import type { SessionTable } from '../session-table.js';
import { connectSqlite } from '../sqlite-runner.js';
import { SESSION_INDICES, type DialectConnection, type SessionDialect, type SessionOperations } from './dialect.js';
import { MarkedParameters } from './marked-parameters.js';
import { ANY_HASH } from './asked-hashes.js';
import { affectedBy, expiryOf, lookOf, numberFrom, rowOf, foundRowsOf } from './rows.js';

/** From here on a path may name a key that has quotes in it. Before, `json_set` changed another key, or refused. */
const MINIMUM_MINOR = 47;

export const sqliteDialect: SessionDialect = {
  types: ['better-sqlite3', 'sqljs'],
  placeholder: () => '?',
  columnsName: 'SqliteSessionColumns',
  connect,
  operations: sqliteOperations,
  checkServer,

  async readOnlyReason(connection, { name }) {
    // BEGIN IMMEDIATE would do on a file that can only be read.
    await connection.run({ sql: `DELETE FROM ${name} WHERE 0`, parameters: [] });
    return undefined;
  },

  problemOf(reason) {
    const problems = {
      'no such table': 'no-table',
      'no such column': 'no-column',
      'has no column named': 'no-column',
    } as const;
    return problems[reason as keyof typeof problems];
  },

  table: {
    name: 'sessions',
    columns: [
      { name: 'id', type: 'varchar', length: '36', isPrimary: true },
      { name: 'token_hash', type: 'blob' },
      { name: 'data', type: 'text' },
      { name: 'user_id', type: 'varchar', length: '255', isNullable: true },
      { name: 'version', type: 'integer' },
      { name: 'created_at', type: 'integer' },
      { name: 'touched_at', type: 'integer' },
      { name: 'expires_at', type: 'integer' },
      { name: 'absolute_expires_at', type: 'integer' },
      { name: 'idle_timeout', type: 'integer' },
      { name: 'persistent', type: 'boolean' },
      { name: 'previous_token_hash', type: 'blob', isNullable: true },
      { name: 'previous_token_until', type: 'integer', isNullable: true },
      { name: 'last_write', type: 'varchar', length: '36' },
    ],
    indices: SESSION_INDICES,
  },
};

function connect(dataSource: DataSource, warn: (sentence: string) => void): DialectConnection {
  if (dataSource.options.type === 'sqljs') return connectSqlite(new SqlJs(dataSource));
  const driver = new BetterSqlite3(dataSource);
  if (driver.isVerbose) {
    warn(
      'The data source has the option `verbose`, which is told statements with their values. Those of sessions are among them ' +
        'in save({ manager }), and always where the database is in memory. Remove verbose.',
    );
  }
  return connectSqlite(driver);
}

async function checkServer(connection: Connection): Promise<void> {
  const { rows } = await connection.run({ sql: 'SELECT sqlite_version()', parameters: [] });
  const version = String(rows[0]?.[0]);
  const [major, minor] = version.split('.').map(Number);
  if (major === 3 && minor! >= MINIMUM_MINOR) return;
  throw new SessionConfigError(
    `Sessions need SQLite 3.${MINIMUM_MINOR} or later, and the driver comes with ${version}. ` +
      'Update better-sqlite3 to 11.5 or later, or sql.js to 1.13 or later.',
  );
}

class Parameters extends MarkedParameters<string | number | Buffer | null> {
  add(value: string | number | Buffer | null): string {
    return this.mark(value);
  }

  list(values: readonly (string | Buffer)[]): string {
    return values.map((value) => this.mark(value)).join(', ');
  }
}

/** Milliseconds since the epoch, the same throughout a statement. A day's fraction is exact to 0.04 milliseconds. */
const NOW = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)";

/** Any text and any blob is greater than this, and no integer is. */
const GREATEST_INTEGER = '9223372036854775807';

/** Functions take 100 arguments or so, depending on how SQLite was compiled. */
const KEYS_PER_CALL = 40;

function sqliteOperations({ name, columns: c }: SessionTable): SessionOperations {
  // With the table's name before it: alone, the name of a column that is missing would be taken for a text.
  const t = Object.fromEntries(
    Object.entries(c).map(([property, column]) => [property, `${name}.${column}`]),
  ) as typeof c;

  // A column holds whatever was put there: a text for a time, which would never come, or for data what is no JSON.
  const areIntegers = [t.version, t.touchedAt, t.expiresAt, t.absoluteExpiresAt, t.idleTimeout]
    .map((column) => `typeof(${column}) = 'integer'`)
    .join(' AND ');
  const whereReadable = (then: string) =>
    `CASE WHEN ${areIntegers} AND typeof(${t.id}) = 'text' AND typeof(${t.userId}) <> 'blob' ` +
    `AND typeof(${t.data}) = 'text' AND json_valid(${t.data}) ` +
    // What is no JSON has no type: asking for it would be an error.
    `THEN CASE WHEN json_type(${t.data}) = 'object' THEN ${then} END END`;

  const isLive = `coalesce(${whereReadable(`${t.expiresAt} > ${NOW}`)}, 0)`;

  const isOurs = (ref: SessionRef, p: Parameters) =>
    `${t.id} = ${p.add(ref.id)} AND ${t.tokenHash} = ${p.add(ref.tokenHash)} AND ${isLive}`;

  const written = (mark: string, p: Parameters) => `${c.version} = ${t.version} + 1, ${c.lastWrite} = ${p.add(mark)}`;

  const idleExpiry = `max(${t.expiresAt}, min(${t.absoluteExpiresAt}, ${NOW} + ${t.idleTimeout}))`;
  const touchedWhenDue = (touchAfter: number, p: Parameters) => {
    const isDue = `${t.touchedAt} <= ${NOW} - ${p.add(touchAfter)}`;
    return (
      `, ${c.touchedAt} = CASE WHEN ${isDue} THEN ${NOW} ELSE ${t.touchedAt} END, ` +
      `${c.expiresAt} = CASE WHEN ${isDue} THEN ${idleExpiry} ELSE ${t.expiresAt} END`
    );
  };

  const begun = ({ idleTimeout, absoluteTimeout, persistent }: LifetimeChange, p: Parameters) => {
    const end = () => (absoluteTimeout === undefined ? t.absoluteExpiresAt : `${NOW} + ${p.add(absoluteTimeout)}`);
    return (
      `${c.touchedAt} = ${NOW}, ${c.absoluteExpiresAt} = ${end()}, ` +
      `${c.expiresAt} = min(${end()}, ${NOW} + ${p.add(idleTimeout)}), ` +
      `${c.idleTimeout} = ${p.add(idleTimeout)}, ${c.persistent} = ${p.add(Number(persistent))}`
    );
  };
  const moved = ({ lifetime }: Delta, touchAfter: number, p: Parameters) => {
    if (lifetime) return `, ${begun(lifetime, p)}`;
    return touchAfter === Infinity ? '' : touchedWhenDue(touchAfter, p);
  };

  const merged = (data: string, { set, unset }: Delta, p: Parameters) => {
    let sql = data;
    for (const keys of chunks(unset)) sql = `json_remove(${sql}, ${p.list(keys.map(pathOf))})`;
    for (const members of chunks(Object.entries(set))) {
      const pairs = members.map(([key, json]) => `${p.add(pathOf(key))}, json(${p.add(json)})`);
      sql = `json_set(${sql}, ${pairs.join(', ')})`;
    }
    return sql;
  };

  /** A key that is absent must not become null. */
  const kept = (keys: readonly string[], p: Parameters) => {
    const path = `('$.' || json_quote(kept.value))`;
    return (
      `(SELECT json_group_object(kept.value, json(${t.data} -> ${path})) ` +
      `FROM json_each(${p.add(JSON.stringify([...new Set(keys)]))}) AS kept ` +
      `WHERE json_type(${t.data}, ${path}) IS NOT NULL)`
    );
  };

  /** What foundOf reads. */
  const session =
    `CASE typeof(${t.id}) WHEN 'text' THEN ${t.id} ELSE hex(${t.id}) END, lower(hex(${t.tokenHash})), ` +
    `${whereReadable(t.data)}, ${t.userId}, ${t.idleTimeout}, ${t.persistent}, ${t.expiresAt}, ` +
    `${t.absoluteExpiresAt}, ${t.touchedAt}, ${NOW}`;

  return {
    create(session, mark) {
      const p = new Parameters();
      const { id, tokenHash, data, userId = null, idleTimeout, absoluteTimeout, persistent } = session;
      const statement = p.statement(
        `INSERT INTO ${name} (${c.id}, ${c.tokenHash}, ${c.data}, ${c.userId}, ${c.version}, ${c.createdAt}, ` +
          `${c.touchedAt}, ${c.expiresAt}, ${c.absoluteExpiresAt}, ${c.idleTimeout}, ${c.persistent}, ${c.lastWrite}) ` +
          `VALUES (${p.add(id)}, ${p.add(tokenHash)}, ${merged("'{}'", { set: data, unset: [] }, p)}, ${p.add(userId)}, 1, ` +
          `${NOW}, ${NOW}, ${NOW} + ${p.add(Math.min(idleTimeout, absoluteTimeout))}, ${NOW} + ${p.add(absoluteTimeout)}, ` +
          `${p.add(idleTimeout)}, ${p.add(Number(persistent))}, ${p.add(mark)}) RETURNING ${t.expiresAt}`,
      );
      return expiryOf(statement);
    },

    find(asked) {
      const p = new Parameters();
      const hashes = p.list(asked.all);
      const replaced = `NULL, lower(hex(${t.previousTokenHash})), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`;
      const statement = p.statement(
        `SELECT ${session} FROM ${name} WHERE ${t.tokenHash} IN (${hashes}) AND ${t.expiresAt} > ${NOW} ` +
          `UNION ALL SELECT ${replaced} FROM ${name} WHERE ${t.previousTokenHash} IN (${hashes}) ` +
          `AND typeof(${t.previousTokenUntil}) = 'integer' AND ${t.previousTokenUntil} > ${NOW}`,
      );
      return foundRowsOf(statement, asked);
    },

    look(id, tokenHash, key, mark) {
      const p = new Parameters();
      const value = key === undefined ? 'NULL' : `${t.data} -> ${p.add(pathOf(key))}`;
      const statement = p.statement(
        `SELECT ${isLive}, ${t.tokenHash} = ${p.add(tokenHash)}, ${t.lastWrite} IS ${p.add(mark ?? null)}, ` +
          `${t.version}, ${whereReadable(value)}, ${t.expiresAt} FROM ${name} WHERE ${t.id} = ${p.add(id)}`,
      );
      return rowOf(statement, lookOf);
    },

    update(ref, delta, touchAfter, mark) {
      const p = new Parameters();
      const statement = p.statement(
        `UPDATE ${name} SET ${c.data} = ${merged(t.data, delta, p)}, ${written(mark, p)}${moved(delta, touchAfter, p)} ` +
          `WHERE ${isOurs(ref, p)} RETURNING ${t.expiresAt}`,
      );
      return expiryOf(statement);
    },

    touch(ref, touchAfter) {
      const p = new Parameters();
      const statement = p.statement(
        `UPDATE ${name} SET ${c.touchedAt} = ${NOW}, ${c.expiresAt} = ${idleExpiry} ` +
          `WHERE ${isOurs(ref, p)} AND ${t.touchedAt} <= ${NOW} - ${p.add(touchAfter)} RETURNING ${t.expiresAt}`,
      );
      return expiryOf(statement);
    },

    replace(ref, { tokenHash, isUnsent, login }, delta, touchAfter, mark) {
      const p = new Parameters();
      const statement = p.statement(
        `UPDATE ${name} SET ${c.tokenHash} = ${p.add(tokenHash)}, ` +
          `${c.previousTokenHash} = ${isUnsent ? t.previousTokenHash : t.tokenHash}, ` +
          `${c.previousTokenUntil} = ${NOW} + ${PREVIOUS_TOKEN_MILLISECONDS}, ` +
          `${c.data} = ${merged(login ? kept(login.keep, p) : t.data, delta, p)}, ${written(mark, p)}` +
          `${login ? `, ${c.userId} = ${p.add(login.userId ?? null)}, ${begun(login, p)}` : moved(delta, touchAfter, p)} ` +
          `WHERE ${isOurs(ref, p)} RETURNING ${t.expiresAt}`,
      );
      return expiryOf(statement);
    },

    /**
     * Computed here, where numbers are JavaScript's, and written if the row is still the one that was read. No transaction
     * that the application shares has to be begun for that.
     */
    apply(ref, operation, maxBytes, mark) {
      const { kind, key } = operation;
      const read = async (connection: Connection) => {
        const p = new Parameters();
        const statement = p.statement(
          `SELECT ${t.version}, ${t.data} -> ${p.add(pathOf(key))} FROM ${name} WHERE ${isOurs(ref, p)}`,
        );
        const [row] = (await connection.run(statement)).rows;
        return row && { version: Number(row[0]), value: row[1] ?? undefined };
      };
      const write = (version: number, value: string | undefined) => {
        const p = new Parameters();
        const delta = value === undefined ? { set: {}, unset: [key] } : { set: { [key]: value }, unset: [] };
        const data = merged(t.data, delta, p);
        const size = (json: string) => `length(CAST(${json} AS BLOB))`;
        // What is too large already may still shrink.
        return p.statement(
          `UPDATE ${name} SET ${c.data} = ${data}, ${written(mark, p)} WHERE ${isOurs(ref, p)} ` +
            `AND ${t.version} = ${p.add(version)} AND ${size(data)} <= max(${p.add(maxBytes)}, ${size(t.data)})`,
        );
      };
      return async (connection) => {
        const current = await read(connection);
        if (!current) return undefined;
        if (kind === 'take' && current.value === undefined) return undefined;
        if (kind === 'compareAndSet' && operation.version !== current.version) return undefined;
        const result = applyAtomic(operation, current.value);
        if (!result.fits) return undefined;
        const { affected } = await connection.run(write(current.version, result.value));
        if (affected > 0) return { value: kind === 'take' ? current.value : result.value };
        // Not changed since: it had no room.
        if ((await read(connection))?.version === current.version) return undefined;
        throw new StatementError('rolledBack', 'row changed');
      };
    },

    retime(ref, delta, { idleTimeout, persistent }, mark) {
      const p = new Parameters();
      const statement = p.statement(
        `UPDATE ${name} SET ${c.data} = ${merged(t.data, delta, p)}, ${written(mark, p)}, ${c.touchedAt} = ${NOW}, ` +
          `${c.idleTimeout} = ${p.add(idleTimeout)}, ${c.persistent} = ${p.add(Number(persistent))}, ` +
          `${c.expiresAt} = min(${t.absoluteExpiresAt}, ${NOW} + ${p.add(idleTimeout)}) ` +
          `WHERE ${isOurs(ref, p)} RETURNING ${t.expiresAt}`,
      );
      return expiryOf(statement);
    },

    delete(ref) {
      const p = new Parameters();
      const statement = p.statement(
        `DELETE FROM ${name} WHERE ${t.id} = ${p.add(ref.id)} AND ${t.tokenHash} = ${p.add(ref.tokenHash)}`,
      );
      return async (connection) => (await connection.run(statement)).affected > 0;
    },

    deleteExpired(limit) {
      const p = new Parameters();
      // Nobody writes while a statement does, so what it has selected is still expired when it deletes it.
      const statement = p.statement(
        `DELETE FROM ${name} WHERE ${t.id} IN (SELECT ${t.id} FROM ${name} ` +
          `WHERE ${t.expiresAt} <= ${NOW} OR ${t.expiresAt} > ${GREATEST_INTEGER} LIMIT ${p.add(limit)})`,
      );
      return affectedBy(statement);
    },

    list(limit) {
      const p = new Parameters();
      const statement = p.statement(
        `SELECT ${session} FROM ${name} WHERE ${t.expiresAt} > ${NOW} LIMIT ${p.add(limit)}`,
      );
      return foundRowsOf(statement, ANY_HASH);
    },

    count() {
      return numberFrom({ sql: `SELECT count(*) FROM ${name} WHERE ${isLive}`, parameters: [] });
    },

    deleteAny(limit) {
      const p = new Parameters();
      const statement = p.statement(
        `DELETE FROM ${name} WHERE ${t.id} IN (SELECT ${t.id} FROM ${name} LIMIT ${p.add(limit)})`,
      );
      return affectedBy(statement);
    },
  };
}

function pathOf(key: string): string {
  return `$.${JSON.stringify(key)}`;
}

function chunks<T>(all: readonly T[]): readonly T[][] {
  const count = Math.ceil(all.length / KEYS_PER_CALL);
  return Array.from({ length: count }, (_, index) => all.slice(index * KEYS_PER_CALL, (index + 1) * KEYS_PER_CALL));
}
