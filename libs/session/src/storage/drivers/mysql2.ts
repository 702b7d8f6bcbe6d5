import type { DataSource } from 'typeorm';
import { SessionConfigError } from '../../core/errors.js';
import type { RawRow, Statement, StatementFailure, StatementResult } from '../connection.js';
import type { DriverFailure, DriverPool } from '../pooled-runner.js';

/** As much of mysql2 as sessions need: a pool, or the primary's part of a pool cluster. */
interface MysqlPool {
  getConnection(callback: (error: unknown, client: MysqlClient) => void): void;
  /** A part of a pool cluster has neither. */
  on?(event: 'acquire' | 'release', listener: (client: MysqlClient) => void): unknown;
  readonly config?: { readonly connectionLimit: number };
  /** The older package `mysql` has none. */
  execute?: unknown;
}
interface MysqlField {
  buffer(): Buffer | null;
}
interface MysqlClient {
  on(event: 'error', listener: () => void): unknown;
  query(
    options: {
      sql: string;
      values: readonly unknown[];
      rowsAsArray: true;
      typeCast(field: MysqlField): string | null;
    },
    callback: (error: unknown, result: readonly RawRow[] | ResultHeader) => void,
  ): void;
  release(): void;
  destroy(): void;
}
/** What a statement answers that has no rows. Numbers may be text, by an option of the connection. */
interface ResultHeader {
  readonly affectedRows: number | string;
  readonly insertId: number | string;
}
interface MysqlDriver {
  readonly pool?: MysqlPool;
  /** With TypeORM's `replication`. */
  readonly poolCluster?: { of(pattern: string): MysqlPool };
}

/**
 * The application's own mysql2 pool, underneath TypeORM: its logger would print our parameters, and its replication would
 * send reads to a replica.
 */
export class Mysql2Pool implements DriverPool<MysqlClient> {
  readonly begin = ['START TRANSACTION'];
  readonly #pool: MysqlPool;
  readonly #listened = new WeakSet<MysqlClient>();
  readonly #inUse = new Set<MysqlClient>();

  constructor(dataSource: DataSource) {
    const { pool, poolCluster } = dataSource.driver as unknown as MysqlDriver;
    this.#pool = poolCluster?.of('MASTER') ?? pool!;
    if (!this.#pool.execute) {
      throw new SessionConfigError(
        'The data source uses the package mysql, and sessions need mysql2. Install mysql2, and remove mysql or set ' +
          'connectorPackage: "mysql2" in TypeOrmModule.forRoot().',
      );
    }
    this.#pool.on?.('acquire', (client) => this.#inUse.add(client));
    this.#pool.on?.('release', (client) => this.#inUse.delete(client));
  }

  get isExhausted(): boolean {
    // 0 is no limit.
    return this.#inUse.size >= (this.#pool.config?.connectionLimit || Infinity);
  }

  async connect(): Promise<MysqlClient> {
    const client = await new Promise<MysqlClient>((resolve, reject) => {
      this.#pool.getConnection((error, connected) => (error ? reject(error as Error) : resolve(connected)));
    });
    this.#survive(client);
    return client;
  }

  /** Asks for each value as the database spells it: what the application has set for dates, numbers and casts plays no part. */
  query(client: MysqlClient, { sql, parameters }: Statement): Promise<StatementResult> {
    const options = { sql, values: parameters, rowsAsArray: true, typeCast: asText } as const;
    return new Promise((resolve, reject) => {
      client.query(options, (error, result) => (error ? reject(error as Error) : resolve(resultOf(result))));
    });
  }

  release(client: MysqlClient, destroy: boolean): void {
    if (!destroy) return client.release();
    // The pool tells nobody.
    this.#inUse.delete(client);
    client.destroy();
  }

  /** By errno, then by SQLSTATE, then by message. mysql2's `code` has MySQL's names, some of which are wrong for MariaDB. */
  describe(error: unknown): DriverFailure {
    const { errno, sqlState, code, syscall, message, fatal } = error as Partial<Mysql2Error>;
    if (errno === undefined || sqlState === undefined) {
      // mysql2 says so where the connection had failed before the statement was given to it.
      const isUnsent = syscall === 'connect' || /closed state/i.test(message ?? '') || UNSENT.test(code ?? '');
      return { failure: isUnsent ? 'unsent' : 'lost', reason: code || 'connection', isConnectionUseless: true };
    }
    const isServerWrong = WRONG_SERVER.has(errno);
    const isEnded = sqlState.startsWith('08') || ENDED.has(errno);
    return {
      failure: isServerWrong ? 'away' : failureOf(errno, sqlState, message),
      reason: String(errno),
      isConnectionUseless: fatal === true || isServerWrong || isEnded,
    };
  }

  /** A connection that dies in use emits `error` besides failing its statement; unheard, that ends the process. */
  #survive(client: MysqlClient): void {
    if (this.#listened.has(client)) return;
    this.#listened.add(client);
    client.on('error', () => {});
  }
}

interface Mysql2Error {
  readonly errno: number;
  readonly sqlState: string;
  readonly code: string;
  readonly syscall: string;
  readonly message: string;
  readonly fatal: boolean;
}

/** Not the field's own `string()`, which decodes by the character set of the connection. */
function asText(field: MysqlField): string | null {
  return field.buffer()?.toString() ?? null;
}

function resultOf(result: readonly RawRow[] | ResultHeader): StatementResult {
  if ('affectedRows' in result) {
    return { rows: [], affected: Number(result.affectedRows), insertId: Number(result.insertId) };
  }
  return { rows: result, affected: 0, insertId: 0 };
}

/**
 * A replica, a primary that became one, a Galera node outside the quorum, or a connection that somebody has set to read
 * only: 1047 not prepared, 1290 --read-only, 1792 read-only transaction, 1836 read-only mode.
 */
const WRONG_SERVER = new Set([1047, 1290, 1792, 1836]);

/** mysql2 and its pools say so of a statement that they have not sent. */
const UNSENT = /^(POOL_|PROTOCOL_ENQUEUE_)/;

/** The connection is over: 1927 (MariaDB) or 3169 (MySQL) killed, 4031 (MySQL) idle for too long, and what proxies say. */
const ENDED = new Set([1927, 2006, 2013, 3169, 4031]);

/**
 * 1020 changed since it was read, 1205 lock wait timeout, 1412 table changed. 1205 undoes the statement alone; the
 * transaction around it, where there is one, is undone by us.
 */
const ROLLED_BACK = new Set([1020, 1205, 1412]);

/**
 * 1180 error during COMMIT, and what the server says when it goes away: whether before or after, nobody knows. Nor of 2006
 * and 2013, which proxies say of a server that went away.
 */
const LOST = new Set([1180, 1927, 2006, 2013, 3169]);

/** Galera says what it could not replicate under more than one number. */
const GALERA = /wsrep/i;

/** Limits of the server (connections, memory, disk, locks) and statements that it has cut short. */
const AWAY = new Set([
  1015, 1021, 1026, 1030, 1036, 1037, 1038, 1040, 1041, 1114, 1203, 1206, 1226, 1317, 1874, 1969, 3024,
]);

/** @see https://mariadb.com/kb/en/mariadb-error-code-reference/ and https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html */
function failureOf(errno: number, sqlState: string, message = ''): StatementFailure {
  // Before the class 08, which it has as well: a packet that is too large will be too large again.
  if (errno === 1153) return 'refused';
  if (errno === 4031) return 'unsent';
  // 40001: deadlock (1213), or lost to another Galera node. 40000: undone by group replication (3101).
  if (ROLLED_BACK.has(errno) || sqlState === '40001' || sqlState === '40000') return 'rolledBack';
  if (AWAY.has(errno)) return 'away';
  if (LOST.has(errno) || sqlState.startsWith('08') || GALERA.test(message)) return 'lost';
  return 'refused';
}
