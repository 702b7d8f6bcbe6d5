import type { DataSource } from 'typeorm';
import type { Statement, StatementFailure, StatementResult, RawRow } from '../connection.js';
import type { DriverFailure, DriverPool } from '../pooled-runner.js';

/** As much of node-postgres as sessions need. */
interface PgPool {
  readonly options: { readonly connectionTimeoutMillis?: number };
  connect(): Promise<PgClient>;
}
export interface PgClient {
  on(event: 'error', listener: () => void): unknown;
  query(config: {
    text: string;
    values: readonly unknown[];
    rowMode: 'array';
    types: { getTypeParser(): (value: string) => string };
  }): Promise<{ rows: RawRow[]; rowCount: number | null }>;
  /** @param destroy true closes the connection instead of keeping it */
  release(destroy?: boolean): void;
}

/** Every value as the database spells it, whatever parsers the application has set globally. */
const UNPARSED = { getTypeParser: () => (value: string) => value };

/**
 * The application's own node-postgres pool, underneath TypeORM: its logger would print our parameters, and its
 * replication would send reads to a standby. `master` is the primary's pool.
 */
export class NodePostgresPool implements DriverPool<PgClient> {
  readonly begin = ['BEGIN'];
  readonly #pool: PgPool;
  readonly #listened = new WeakSet<PgClient>();

  constructor(dataSource: DataSource) {
    this.#pool = (dataSource.driver as unknown as { master: PgPool }).master;
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

  async query(client: PgClient, { sql, parameters }: Statement): Promise<StatementResult> {
    const config = { text: sql, values: parameters, rowMode: 'array', types: UNPARSED } as const;
    const { rows, rowCount } = await client.query(config);
    return { rows, affected: rowCount ?? 0, insertId: 0 };
  }

  release(client: PgClient, destroy: boolean): void {
    client.release(destroy);
  }

  /** By SQLSTATE, then by errno, then by message: some real failures have no code (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
  describe(error: unknown): DriverFailure {
    const { code = '', message = '', severity = '' } = error as { code?: string; message?: string; severity?: string };
    if (!SQLSTATE.test(code)) {
      // node-postgres says so where the connection had failed before the statement was written to it.
      const isUnsent = /not queryable|after calling end|client was closed/i.test(message);
      return { failure: isUnsent ? 'unsent' : 'lost', reason: code || 'connection', isConnectionUseless: true };
    }
    return { failure: failureOf(code), reason: code, isConnectionUseless: severity === 'FATAL' || isServerWrong(code) };
  }

  /** A connection that dies in use emits `error` besides failing its statement; unheard, that ends the process. */
  #survive(client: PgClient): void {
    if (this.#listened.has(client)) return;
    this.#listened.add(client);
    client.on('error', () => {});
  }
}

const SQLSTATE = /^[0-9A-Z]{5}$/;

function failureOf(sqlState: string): StatementFailure {
  // serialization_failure, deadlock_detected, lock_not_available: the transaction was undone.
  if (['40001', '40P01', '55P03'].includes(sqlState)) return 'rolledBack';
  // The server ends the session; whether before or after the commit, nobody says.
  if (['57P01', '57P02', '57P05'].includes(sqlState)) return 'lost';
  // Connection exceptions, insufficient resources, operator intervention (57014: cancelled by a timeout of the server).
  if (isServerWrong(sqlState) || ['08', '53', '57', '58'].includes(sqlState.slice(0, 2))) return 'away';
  return 'refused';
}

/** A standby, or a primary that became one: a connection to it stays useless. */
function isServerWrong(sqlState: string): boolean {
  return sqlState === '25006';
}
