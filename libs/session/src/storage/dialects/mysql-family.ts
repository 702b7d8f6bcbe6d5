import type { DataSource, TableOptions } from 'typeorm';
import { applyAtomic } from '../../core/atomic.js';
import { SessionConfigError } from '../../core/errors.js';
import type { Delta, JsonByKey, LifetimeChange, SessionRef } from '../../core/store.js';
import { PREVIOUS_TOKEN_MILLISECONDS } from '../../core/token.js';
import type { Connection, Operation, Statement } from '../connection.js';
import { Mysql2Pool } from '../drivers/mysql2.js';
import { connectPool } from '../pooled-runner.js';
import type { SessionTable } from '../session-table.js';
import {
  SESSION_INDICES,
  type DialectConnection,
  type Expiry,
  type SessionDialect,
  type SessionOperations,
} from './dialect.js';
import { MarkedParameters } from './marked-parameters.js';
import { ANY_HASH } from './asked-hashes.js';
import { affectedBy, lookOf, numberFrom, rowOf, foundRowsOf } from './rows.js';

/** What MariaDB and MySQL do differently. */
export interface MysqlFlavour {
  readonly type: 'mariadb' | 'mysql';
  /** Refuses a server that is too old, or of the other kind. */
  checkVersion(version: string): void;
  /** SQL for JSON text as a value that JSON functions take for JSON, and not for a string. */
  value(text: string): string;
  /** SQL for JSON that a function made, as it is to be stored. */
  document(json: string): string;
  /** SQL for the text of JSON. */
  text(json: string): string;
  /** A top-level key, in quotes, as every JSON text and every path has to spell it. */
  spell(key: string): string;
}

export function mysqlFamilyDialect(flavour: MysqlFlavour): SessionDialect {
  return {
    types: [flavour.type],
    placeholder: () => '?',
    columnsName: 'MysqlSessionColumns',
    connect,
    operations: (table) => mysqlOperations(table, flavour),
    checkServer: (connection, table) => checkServer(connection, table, flavour),
    readOnlyReason,
    problemOf(errno) {
      const problems = {
        1146: 'no-table',
        1054: 'no-column',
        1044: 'no-permission',
        1142: 'no-permission',
        1143: 'no-permission',
      } as const;
      return problems[Number(errno) as keyof typeof problems];
    },
    table: TABLE,
  };
}

const ASCII = { charset: 'ascii', collation: 'ascii_bin' };
const UUID = { type: 'char', length: '36', ...ASCII };
const HASH = { type: 'binary', length: '32' };

/** Times are milliseconds since the epoch: TIMESTAMP ends in 2038 and moves with the time zone, DATETIME has none. */
const TABLE: TableOptions = {
  name: 'sessions',
  engine: 'InnoDB',
  columns: [
    { name: 'id', ...UUID, isPrimary: true },
    { name: 'token_hash', ...HASH },
    { name: 'data', type: 'json' },
    { name: 'user_id', type: 'varchar', length: '255', charset: 'utf8mb4', collation: 'utf8mb4_bin', isNullable: true },
    { name: 'version', type: 'int' },
    { name: 'created_at', type: 'bigint' },
    { name: 'touched_at', type: 'bigint' },
    { name: 'expires_at', type: 'bigint' },
    { name: 'absolute_expires_at', type: 'bigint' },
    { name: 'idle_timeout', type: 'bigint' },
    { name: 'persistent', type: 'tinyint' },
    { name: 'previous_token_hash', ...HASH, isNullable: true },
    { name: 'previous_token_until', type: 'bigint', isNullable: true },
    { name: 'last_write', ...UUID },
  ],
  indices: SESSION_INDICES,
};

function connect(dataSource: DataSource, warn: (sentence: string) => void): DialectConnection {
  const options = dataSource.options as unknown as {
    connectTimeout?: number;
    replication?: { restoreNodeTimeout?: number };
    extra?: { connectTimeout?: number };
  };
  // Left out, it is 10 seconds, and a server that stops answering cannot hold the pool for longer.
  if ({ ...options, ...options.extra }.connectTimeout === 0) {
    warn(
      'The data source sets no time limit on connecting, so a database that stops answering can fill the pool for minutes. ' +
        'Set connectTimeout (2000, say) in TypeOrmModule.forRoot().',
    );
  }
  if (options.replication && !options.replication.restoreNodeTimeout) {
    warn(
      'The data source gives up a database server for good when it could not be reached a few times. ' +
        'Set replication.restoreNodeTimeout (1000, say) in TypeOrmModule.forRoot(), and it tries again.',
    );
  }
  return connectPool(new Mysql2Pool(dataSource));
}

/**
 * Text travels as bytes behind an introducer: then neither the character set of the connection nor NO_BACKSLASH_ESCAPES can
 * change it.
 */
class Parameters extends MarkedParameters<Buffer | number> {
  text(value: string): string {
    return `_utf8mb4 ${this.bytes(Buffer.from(value))}`;
  }

  ascii(value: string): string {
    return `_ascii ${this.bytes(Buffer.from(value))}`;
  }

  bytes(value: Buffer): string {
    return this.mark(value);
  }

  number(value: number): string {
    return this.mark(value);
  }
}

/** Microseconds since the epoch when the statement began, whatever the time zone of the connection. */
const BEGUN = `TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`;

/**
 * Microseconds since then. SYSDATE() goes on while a statement waits for a lock, but in the connection's time zone, which
 * may change its offset meanwhile: by whole half hours, so what counts is the distance from the nearest of them.
 */
const ELAPSED = 'GREATEST(0, MOD(TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)) + 8100000000, 1800000000) - 900000000)';

/** When the statement began: one moment for all that it writes. */
const NOW = `(${BEGUN} DIV 1000)`;

/** The time at which a row is looked at: what ended while its write waited for another one is over. */
const MOMENT = `((${BEGUN} + ${ELAPSED}) DIV 1000)`;

function mysqlOperations({ name, columns: c }: SessionTable, flavour: MysqlFlavour): SessionOperations {
  const isLive = `${c.expiresAt} > ${MOMENT}`;
  const orNull = (text: string | undefined, p: Parameters) => (text === undefined ? 'NULL' : p.text(text));
  const path = (key: string, p: Parameters) => p.text(`$.${flavour.spell(key)}`);
  /** Text comes as bytes: results are not converted to the connection's character set, which may lack letters. */
  const bytesOf = (text: string) => `CAST(${text} AS BINARY)`;
  const valueOf = (key: string, p: Parameters) => bytesOf(flavour.text(`JSON_EXTRACT(${c.data}, ${path(key, p)})`));

  /**
   * CASE keeps the optimizer from the token's index. All writers come to a row by its primary key: one that came by another
   * index would lock both in the other order, and two of them would deadlock.
   */
  const isOurs = (ref: SessionRef, p: Parameters, then = isLive) =>
    `${c.id} = ${p.ascii(ref.id)} AND CASE WHEN ${c.tokenHash} = ${p.bytes(ref.tokenHash)} THEN ${then} END`;

  const written = (mark: string, p: Parameters) => `${c.version} = ${c.version} + 1, ${c.lastWrite} = ${p.ascii(mark)}`;

  // Assignments are carried out from left to right, and see what those before them have set: everywhere below, a column is
  // read before it is written.
  const idleExpiry = `GREATEST(${c.expiresAt}, LEAST(${c.absoluteExpiresAt}, ${NOW} + ${c.idleTimeout}))`;
  const touchedWhenDue = (touchAfter: number, p: Parameters) => {
    if (touchAfter === Infinity) return `${c.expiresAt} = LAST_INSERT_ID(${c.expiresAt})`;
    const isDue = `${c.touchedAt} <= ${NOW} - ${p.number(touchAfter)}`;
    return (
      `${c.expiresAt} = LAST_INSERT_ID(CASE WHEN ${isDue} THEN ${idleExpiry} ELSE ${c.expiresAt} END), ` +
      `${c.touchedAt} = CASE WHEN ${isDue} THEN ${NOW} ELSE ${c.touchedAt} END`
    );
  };

  const begun = ({ idleTimeout, absoluteTimeout, persistent }: LifetimeChange, p: Parameters) => {
    const end = absoluteTimeout === undefined ? c.absoluteExpiresAt : `${NOW} + ${p.number(absoluteTimeout)}`;
    const idleEnd = `${NOW} + ${p.number(idleTimeout)}`;
    const expiry =
      absoluteTimeout === undefined
        ? `LEAST(${c.absoluteExpiresAt}, ${idleEnd})`
        : `${NOW} + ${p.number(Math.min(idleTimeout, absoluteTimeout))}`;
    return (
      `${c.touchedAt} = ${NOW}, ${c.expiresAt} = LAST_INSERT_ID(${expiry}), ${c.absoluteExpiresAt} = ${end}, ` +
      `${c.idleTimeout} = ${p.number(idleTimeout)}, ${c.persistent} = ${p.number(Number(persistent))}`
    );
  };
  const moved = ({ lifetime }: Delta, touchAfter: number, p: Parameters) =>
    `, ${lifetime ? begun(lifetime, p) : touchedWhenDue(touchAfter, p)}`;

  const merged = (data: string, { set, unset }: Delta, p: Parameters) => {
    const paths = unset.map((key) => path(key, p));
    const rest = paths.length > 0 ? `JSON_REMOVE(${data}, ${paths.join(', ')})` : data;
    const pairs = Object.entries(set).map(([key, json]) => `${path(key, p)}, ${flavour.value(p.text(json))}`);
    return pairs.length > 0 ? `JSON_SET(${rest}, ${pairs.join(', ')})` : rest;
  };

  /** An object for each key, with it or empty, and then their union: a key that is absent must not become null. */
  const kept = (keys: readonly string[], p: Parameters) => {
    const empty = p.text('{}');
    const objects = [...new Set(keys)].map((key) => {
      const at = path(key, p);
      const value = `JSON_EXTRACT(${c.data}, ${at})`;
      return `IF(JSON_CONTAINS_PATH(${c.data}, 'one', ${at}), JSON_SET(${empty}, ${at}, ${value}), ${empty})`;
    });
    return `JSON_MERGE_PRESERVE(${[empty, empty, ...objects].join(', ')})`;
  };

  const objectText = (values: JsonByKey) =>
    `{${Object.entries(values)
      .map(([key, json]) => `${flavour.spell(key)}:${json}`)
      .join(',')}}`;

  const isObject = `JSON_VALID(${c.data}) AND JSON_TYPE(${c.data}) = 'OBJECT'`;

  const readable = `CASE WHEN ${c.version} IS NOT NULL AND ${isObject} THEN ${bytesOf(flavour.text(c.data))} END`;
  /** What foundOf reads. */
  const session =
    `${c.id}, LOWER(HEX(${c.tokenHash})), ${readable}, ${bytesOf(c.userId)}, ${c.idleTimeout}, ${c.persistent}, ` +
    `${c.expiresAt}, ${c.absoluteExpiresAt}, ${c.touchedAt}, ${NOW}`;

  return {
    create(session, mark) {
      const p = new Parameters();
      const idle = p.number(Math.min(session.idleTimeout, session.absoluteTimeout));
      const statement = p.statement(
        `INSERT INTO ${name} (${c.id}, ${c.tokenHash}, ${c.data}, ${c.userId}, ${c.version}, ${c.createdAt}, ` +
          `${c.touchedAt}, ${c.expiresAt}, ${c.absoluteExpiresAt}, ${c.idleTimeout}, ${c.persistent}, ${c.lastWrite}) ` +
          `VALUES (${p.ascii(session.id)}, ${p.bytes(session.tokenHash)}, ${p.text(objectText(session.data))}, ` +
          `${orNull(session.userId, p)}, 1, ${NOW}, ${NOW}, ` +
          `LAST_INSERT_ID(${NOW} + ${idle}), ${NOW} + ${p.number(session.absoluteTimeout)}, ` +
          `${p.number(session.idleTimeout)}, ${p.number(Number(session.persistent))}, ${p.ascii(mark)})`,
      );
      return expiryOf(statement);
    },

    find(asked) {
      const p = new Parameters();
      // An empty list would be an error.
      const hashes = asked.all.map((hash) => p.bytes(hash)).join(', ') || 'NULL';
      const replaced = `NULL, LOWER(HEX(${c.previousTokenHash})), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`;
      const statement = p.statement(
        `SELECT ${session} FROM ${name} WHERE ${c.tokenHash} IN (${hashes}) AND ${isLive} ` +
          `UNION ALL SELECT ${replaced} FROM ${name} ` +
          `WHERE ${c.previousTokenHash} IN (${hashes}) AND ${c.previousTokenUntil} > ${MOMENT}`,
      );
      return foundRowsOf(statement, asked);
    },

    look(id, tokenHash, key, mark) {
      const p = new Parameters();
      // What has a parameter in it needs a name: without, the value becomes the column's, and mysql2 keeps a parser for each name.
      const statement = p.statement(
        `SELECT ${isLive}, ${c.tokenHash} = ${p.bytes(tokenHash)} AS is_ours, ` +
          `${c.lastWrite} <=> ${mark === undefined ? 'NULL' : p.ascii(mark)} AS is_marked, ${c.version}, ` +
          `${key === undefined ? 'NULL' : valueOf(key, p)} AS value_of_key, ${c.expiresAt} FROM ${name} WHERE ${c.id} = ${p.ascii(id)}`,
      );
      return rowOf(statement, lookOf);
    },

    update(ref, delta, touchAfter, mark) {
      const p = new Parameters();
      const statement = p.statement(
        `UPDATE ${name} SET ${c.data} = ${flavour.document(merged(c.data, delta, p))}, ${written(mark, p)}` +
          `${moved(delta, touchAfter, p)} WHERE ${isOurs(ref, p)} AND ${isObject}`,
      );
      return expiryOf(statement);
    },

    touch(ref, touchAfter) {
      const p = new Parameters();
      const statement = p.statement(
        `UPDATE ${name} SET ${c.expiresAt} = LAST_INSERT_ID(${idleExpiry}), ${c.touchedAt} = ${NOW} ` +
          `WHERE ${isOurs(ref, p)} AND ${c.touchedAt} <= ${NOW} - ${p.number(touchAfter)}`,
      );
      return expiryOf(statement);
    },

    replace(ref, { tokenHash, isUnsent, login }, delta, touchAfter, mark) {
      const p = new Parameters();
      const data = login ? kept(login.keep, p) : c.data;
      const statement = p.statement(
        `UPDATE ${name} SET ${isUnsent ? '' : `${c.previousTokenHash} = ${c.tokenHash}, `}` +
          `${c.previousTokenUntil} = ${NOW} + ${PREVIOUS_TOKEN_MILLISECONDS}, ${c.tokenHash} = ${p.bytes(tokenHash)}, ` +
          `${c.data} = ${flavour.document(merged(data, delta, p))}, ${written(mark, p)}` +
          `${login ? `, ${c.userId} = ${orNull(login.userId, p)}, ${begun(login, p)}` : moved(delta, touchAfter, p)} ` +
          `WHERE ${isOurs(ref, p)} AND ${isObject}`,
      );
      return expiryOf(statement);
    },

    apply(ref, operation, maxBytes, mark) {
      const { kind, key } = operation;
      const lockAndRead = () => {
        const p = new Parameters();
        return p.statement(
          `SELECT ${c.version}, ${valueOf(key, p)} AS value_of_key FROM ${name} WHERE ${isOurs(ref, p)} AND ${isObject} FOR UPDATE`,
        );
      };
      const write = (version: number, value: string | undefined) => {
        const p = new Parameters();
        const delta = value === undefined ? { set: {}, unset: [key] } : { set: { [key]: value }, unset: [] };
        const data = flavour.document(merged(c.data, delta, p));
        const size = (json: string) => `LENGTH(${flavour.text(json)})`;
        // What is too large already may still shrink. The version is the one that was locked, except in a cluster whose
        // nodes lock for themselves alone.
        return p.statement(
          `UPDATE ${name} SET ${c.data} = ${data}, ${written(mark, p)} WHERE ${isOurs(ref, p)} ` +
            `AND ${c.version} = ${p.number(version)} AND ${size(data)} <= GREATEST(${p.number(maxBytes)}, ${size(c.data)})`,
        );
      };
      const work = async (connection: Connection) => {
        const [row] = (await connection.run(lockAndRead())).rows;
        if (!row) return undefined;
        const version = Number(row[0]);
        const current = row[1] ?? undefined;
        if (kind === 'take' && current === undefined) return undefined;
        if (kind === 'compareAndSet' && operation.version !== version) return undefined;
        const result = applyAtomic(operation, current);
        if (!result.fits) return undefined;
        const { affected } = await connection.run(write(version, result.value));
        return affected > 0 ? { value: kind === 'take' ? current : result.value } : undefined;
      };
      return (connection) => connection.transaction(() => work(connection));
    },

    retime(ref, delta, { idleTimeout, persistent }, mark) {
      const p = new Parameters();
      const idle = p.number(idleTimeout);
      const statement = p.statement(
        `UPDATE ${name} SET ${c.data} = ${flavour.document(merged(c.data, delta, p))}, ${written(mark, p)}, ` +
          `${c.touchedAt} = ${NOW}, ${c.idleTimeout} = ${idle}, ${c.persistent} = ${p.number(Number(persistent))}, ` +
          `${c.expiresAt} = LAST_INSERT_ID(LEAST(${c.absoluteExpiresAt}, ${NOW} + ${idle})) ` +
          `WHERE ${isOurs(ref, p)} AND ${isObject}`,
      );
      return expiryOf(statement);
    },

    delete(ref) {
      const p = new Parameters();
      const statement = p.statement(`DELETE FROM ${name} WHERE ${isOurs(ref, p, 'TRUE')}`);
      return async (connection) => (await connection.run(statement)).affected > 0;
    },

    deleteExpired(limit) {
      const isExpired = `${c.expiresAt} <= ${NOW}`;
      const lockSome = () => {
        const p = new Parameters();
        // What others have locked, they write to or delete themselves: nobody waits for anybody.
        return p.statement(
          `SELECT ${c.id} FROM ${name} WHERE ${isExpired} ORDER BY ${c.expiresAt} LIMIT ${p.number(limit)} ` +
            'FOR UPDATE SKIP LOCKED',
        );
      };
      // A join in this order looks up one id after the other. With IN (…) the optimizer may prefer to read the whole table, and
      // then waits for the rows that were skipped. The condition stands here again: in a cluster whose nodes lock for
      // themselves alone, a session may have been extended meanwhile.
      const deletionOf = (ids: readonly string[]) => {
        const p = new Parameters();
        const chosen = `JSON_TABLE(${p.text(JSON.stringify(ids))}, '$[*]' COLUMNS (id CHAR(36) PATH '$')) AS chosen`;
        return p.statement(
          `DELETE ${name} FROM ${chosen} STRAIGHT_JOIN ${name} FORCE INDEX (PRIMARY) ` +
            `ON ${name}.${c.id} = CONVERT(chosen.id USING ascii) COLLATE ascii_bin WHERE ${isExpired}`,
        );
      };
      const work = async (connection: Connection) => {
        const { rows } = await connection.run(lockSome());
        if (rows.length === 0) return 0;
        return (await connection.run(deletionOf(rows.map(([id]) => id!)))).affected;
      };
      return async (connection) => {
        // For the next transaction alone: REPEATABLE READ would lock the gaps between the rows too, and who inserts there.
        await connection.run({ sql: 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', parameters: [] });
        return connection.transaction(() => work(connection));
      };
    },

    list(limit) {
      const p = new Parameters();
      return foundRowsOf(
        p.statement(`SELECT ${session} FROM ${name} WHERE ${isLive} LIMIT ${p.number(limit)}`),
        ANY_HASH,
      );
    },

    count() {
      return numberFrom({ sql: `SELECT COUNT(*) FROM ${name} WHERE ${isLive}`, parameters: [] });
    },

    deleteAny(limit) {
      const p = new Parameters();
      return affectedBy(p.statement(`DELETE FROM ${name} ORDER BY ${c.id} LIMIT ${p.number(limit)}`));
    },
  };
}

/** A statement that hands the row's expiry to `LAST_INSERT_ID(expression)`, where it finds a row. */
function expiryOf(statement: Statement): Operation<Expiry> {
  return async (connection) => {
    const { affected, insertId } = await connection.run(statement);
    return affected > 0 ? insertId : undefined;
  };
}

/** Refuses servers and settings with which a line of the contract would not hold. */
async function checkServer(connection: Connection, table: SessionTable, flavour: MysqlFlavour): Promise<void> {
  const ask = async (sql: string) => (await connection.run({ sql, parameters: [] })).rows;
  // By SHOW and not by @@name, which fails where a version does not have a variable.
  const names = ['version', 'autocommit', 'completion_type', 'log_bin', 'binlog_format'];
  const variables = new Map(
    (await ask(`SHOW VARIABLES WHERE Variable_name IN ('${names.join("', '")}')`)) as [string, string][],
  );
  flavour.checkVersion(variables.get('version') ?? '');
  if (variables.get('autocommit') === 'OFF') {
    throw new SessionConfigError(
      'Connections to the database begin with autocommit off, so nothing that a session writes would be committed. Set autocommit = 1.',
    );
  }
  if (!['NO_CHAIN', undefined].includes(variables.get('completion_type'))) {
    throw new SessionConfigError(
      'The database is set to begin a transaction, or to close the connection, after every COMMIT. Set completion_type = NO_CHAIN.',
    );
  }
  if (variables.get('log_bin') === 'ON' && variables.get('binlog_format') === 'STATEMENT') {
    throw new SessionConfigError(
      'The database writes its binary log by statement, and refuses the clean-up of sessions then. Set binlog_format to MIXED or ROW.',
    );
  }
  const [clock] = await ask('SELECT SLEEP(0.002), SYSDATE(6) > NOW(6)');
  if (clock?.[1] === '0') {
    throw new SessionConfigError(
      'The database runs with --sysdate-is-now, so a session that ends while its write waits could not be noticed. Start it without.',
    );
  }
  const [definition] = await ask(`SHOW CREATE TABLE ${table.name}`);
  const engine = /\) ENGINE=(\w+)/.exec(definition?.[1] ?? '')?.[1];
  if (engine !== undefined && engine !== 'InnoDB') {
    throw new SessionConfigError(
      `The session table "${table.label}" has the engine ${engine}, which cannot do what sessions need. Run: ALTER TABLE ${table.name} ENGINE = InnoDB`,
    );
  }
}

/** Whether a version such as `10.11.6-MariaDB-1` is at least this one. */
export function isAtLeast(version: string, minimum: readonly [number, number, number]): boolean {
  const numbers = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [0, 0, 0];
  const difference = numbers.map((number, index) => number - minimum[index]!).find((step) => step !== 0) ?? 0;
  return difference >= 0;
}

/** SHOW is answered by a Galera node outside the quorum as well, which refuses tables. */
async function readOnlyReason(connection: Connection): Promise<string | undefined> {
  const show = async (what: string, names: readonly string[]) => {
    const list = names.map((name) => `'${name}'`).join(', ');
    const { rows } = await connection.run({ sql: `SHOW ${what} WHERE Variable_name IN (${list})`, parameters: [] });
    return new Map(rows.map(([name, value]) => [name, value]));
  };
  const variables = await show('VARIABLES', [...READ_ONLY, 'wsrep_on']);
  // A user with the right privilege may write all the same, to a replica: that is nothing to count on. MariaDB 12 has more
  // values than ON.
  const readOnly = READ_ONLY.find((name) => !['OFF', '0', undefined].includes(variables.get(name) ?? undefined));
  if (readOnly) return readOnly;
  if (variables.get('wsrep_on') !== 'ON') return undefined;
  const galera = await show('GLOBAL STATUS', ['wsrep_ready', 'wsrep_local_state']);
  return galera.get('wsrep_ready') === 'ON' && galera.get('wsrep_local_state') === SYNCED ? undefined : 'galera';
}

/** Of the server, or of the connection. Each server has some of them. */
const READ_ONLY = ['read_only', 'super_read_only', 'innodb_read_only', 'tx_read_only', 'transaction_read_only'];

/** https://galeracluster.com/library/documentation/galera-status-variables.html#wsrep-local-state */
const SYNCED = '4';
