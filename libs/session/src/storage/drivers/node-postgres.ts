import type { DataSource } from 'typeorm';
import type { Statement, StatementFailure, StatementResult, RawRow } from '../connection.js';
import type { DriverFailure, DriverPool } from '../pooled-runner.js';
import type { StatementCalls } from './statement-calls.js';
import type { StatementNames } from './statement-names.js';

/** As much of node-postgres as sessions need. */
interface PgPool {
  readonly options: { readonly connectionTimeoutMillis?: number; readonly max: number };
  on(event: 'acquire', listener: (client: PgClient) => void): unknown;
  on(event: 'release', listener: (error: unknown, client: PgClient) => void): unknown;
  connect(): Promise<PgClient>;
}
export interface PgClient {
  on(event: 'error', listener: () => void): unknown;
  query(config: Query, callback: (error: unknown, result: { rows: RawRow[]; rowCount: number | null }) => void): void;
  /** @param destroy true closes the connection instead of keeping it */
  release(destroy?: boolean): void;
}

/** What node-postgres is asked for. It copies the object's own properties one by one: what is the same for all is inherited. */
class Query {
  declare readonly rowMode: 'array';
  /** Every value as the database spells it, whatever parsers the application has set globally. */
  declare readonly types: { getTypeParser(): (value: string) => string };
  /** None where it is not prepared. */
  declare readonly name?: string;

  constructor(
    readonly text: string,
    readonly values: readonly unknown[],
    name: string | undefined,
  ) {
    if (name !== undefined) this.name = name;
  }

  static {
    const asIs = (value: string) => value;
    Object.assign(this.prototype, { rowMode: 'array', types: { getTypeParser: () => asIs } });
  }
}

/**
 * The application's own node-postgres pool, underneath TypeORM: its logger would print our parameters, and its
 * replication would send reads to a standby. `master` is the primary's pool.
 */
export class NodePostgresPool implements DriverPool<PgClient> {
  readonly begin = ['BEGIN'];
  readonly #pool: PgPool;
  readonly #listened = new WeakSet<PgClient>();
  readonly #inUse = new Set<PgClient>();
  readonly #names: StatementNames | undefined;
  readonly #calls: StatementCalls | undefined;

  /** @param spelling prepares statements by name, or calls functions instead of them. Default: they go as they are. */
  constructor(dataSource: DataSource, spelling: { names?: StatementNames | undefined; calls?: StatementCalls } = {}) {
    this.#names = spelling.names;
    this.#calls = spelling.calls;
    this.#pool = (dataSource.driver as unknown as { master: PgPool }).master;
    this.#pool.on('acquire', (client) => this.#inUse.add(client));
    this.#pool.on('release', (_, client) => this.#inUse.delete(client));
  }

  get isExhausted(): boolean {
    return this.#inUse.size >= this.#pool.options.max;
  }

  /** Our deadline frees a request that waits for a connection, but not the place in the pool that the attempt occupies. */
  get limitsConnecting(): boolean {
    return (this.#pool.options.connectionTimeoutMillis ?? 0) > 0;
  }

  async connect(): Promise<PgClient> {
    const client = await this.#pool.connect();
    this.#survive(client);
    return client;
  }

  /** By a callback: of the promise that node-postgres gives, garbage collection took a tenth of each request's time. */
  query(client: PgClient, statement: Statement): Promise<StatementResult> {
    const { sql, parameters } = statement;
    const call = this.#calls?.of(sql);
    return new Promise((resolve, reject) => {
      client.query(new Query(call ?? sql, parameters, this.#names?.of(sql)), (error, result) => {
        if (!error) {
          resolve({ rows: result.rows, affected: result.rowCount ?? 0, insertId: 0 });
        } else if (call !== undefined && isUncallable(sqlStateOf(error))) {
          // It has not happened, and goes as it is from now on.
          this.#calls!.forget(sqlStateOf(error));
          resolve(this.query(client, statement));
        } else {
          // Whatever it fails with is described by who asked, and is an Error of node-postgres.
          reject(error as Error);
        }
      });
    });
  }

  release(client: PgClient, destroy: boolean): void {
    client.release(destroy);
  }

  /** By SQLSTATE, then by errno, then by message: some real failures have no code (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
  describe(error: unknown): DriverFailure {
    const { code = '', message = '', severity = '', syscall } = error as Partial<PgError>;
    if (!SQLSTATE.test(code)) {
      // node-postgres says so where the connection had failed before the statement was written to it.
      const isUnsent = syscall === 'connect' || /not queryable|after calling end|client was closed/i.test(message);
      return { failure: isUnsent ? 'unsent' : 'lost', reason: code || 'connection', isConnectionUseless: true };
    }
    return {
      failure: failureOf(code),
      reason: code,
      isConnectionUseless: isOver(severity, code) || isServerWrong(code) || isUnprepared(code),
    };
  }

  /** A connection that dies in use emits `error` besides failing its statement; unheard, that ends the process. */
  #survive(client: PgClient): void {
    if (this.#listened.has(client)) return;
    this.#listened.add(client);
    client.on('error', () => {});
  }
}

/** What PostgreSQL, node-postgres and Node throw: none has all of it. */
interface PgError {
  readonly code: string;
  readonly message: string;
  readonly severity: string;
  readonly syscall: string;
}

/** No class begins with E, as errnos do: EPIPE has five letters too. */
const SQLSTATE = /^[0-9A-DF-Z][0-9A-Z]{4}$/;

/**
 * What was prepared by name is not there, is there already, or fits the table no more, as after a migration (0A000: cached plan
 * must not change result type). Nothing was done, and another connection may do better.
 */
function isUnprepared(sqlState: string): boolean {
  return ['26000', '42P05', '0A000'].includes(sqlState);
}

/**
 * undefined_function, insufficient_privilege (which the statement itself may have), and datatype_mismatch: the function answers in
 * other types than a column that has changed.
 */
function isUncallable(sqlState: string): boolean {
  return ['42883', '42501', '42804'].includes(sqlState);
}

function sqlStateOf(error: unknown): string {
  return (error as Partial<PgError>).code ?? '';
}

/** The server, or a pooler in front of it, has closed the connection. `severity` is translated where the server is set to. */
function isOver(severity: string, sqlState: string): boolean {
  return ['FATAL', 'PANIC'].includes(severity) || ENDED.test(sqlState);
}

const ENDED = /^(08...|57P0[1-5]|25P0[34])$/;

function failureOf(sqlState: string): StatementFailure {
  // serialization_failure, deadlock_detected, lock_not_available: the transaction was undone.
  if (['40001', '40P01', '55P03'].includes(sqlState)) return 'rolledBack';
  // cannot_connect_now, too_many_connections, and what the server says of a connection that it does not begin.
  if (['57P03', '53300', '08001', '08004'].includes(sqlState)) return 'unsent';
  // The server, or a pooler in front of it, ends the session; whether before or after the commit, nobody says.
  if (['57P01', '57P02', '57P05', '40003'].includes(sqlState) || sqlState.startsWith('08')) return 'lost';
  // The transaction that the session had open has timed out. And insufficient resources, operator intervention (57014:
  // cancelled by a timeout of the server), system errors.
  if (['25P03', '25P04'].includes(sqlState) || ['53', '57', '58'].includes(sqlState.slice(0, 2))) return 'away';
  return isServerWrong(sqlState) || isUnprepared(sqlState) ? 'away' : 'refused';
}

/**
 * A standby, a primary that became one, or a connection that was made while the server only read (25006); a transaction that
 * somebody has left open and failed (25P02). Such a connection stays useless.
 */
function isServerWrong(sqlState: string): boolean {
  return sqlState === '25006' || sqlState === '25P02';
}
