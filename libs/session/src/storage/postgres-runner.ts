import type { DataSource } from 'typeorm';
import {
  StatementError,
  type RawRow,
  type Statement,
  type StatementFailure,
  type StatementRunner,
} from './dialects/dialect.js';

/** As much of node-postgres as the runner needs. */
interface PgPool {
  readonly options: { readonly connectionTimeoutMillis?: number };
  connect(): Promise<PgClient>;
}
interface PgClient {
  on(event: 'error', listener: () => void): unknown;
  query(config: {
    text: string;
    values: readonly unknown[];
    rowMode: 'array';
    types: { getTypeParser(): (value: string) => string };
  }): Promise<{ rows: RawRow[] }>;
  /** @param destroy true closes the connection instead of keeping it */
  release(destroy?: boolean): void;
}

/** Every value as the database spells it, whatever parsers the application has set globally. */
const UNPARSED = { getTypeParser: () => (value: string) => value };

/**
 * Statements on the application's own node-postgres pool, underneath TypeORM: its logger would print our parameters, and
 * its replication would send reads to a standby. `master` is the primary's pool.
 */
export class PostgresRunner implements StatementRunner {
  readonly #pool: PgPool;
  readonly #listened = new WeakSet<PgClient>();

  constructor(dataSource: DataSource) {
    this.#pool = (dataSource.driver as unknown as { master: PgPool }).master;
  }

  /** Our deadline frees a request that waits for a connection, but not the place in the pool that the attempt occupies. */
  get limitsConnecting(): boolean {
    return (this.#pool.options.connectionTimeoutMillis ?? 0) > 0;
  }

  run({ sql, parameters }: Statement, milliseconds: number): Promise<RawRow[]> {
    return new Promise((resolve, reject) => {
      let client: PgClient | undefined;
      let isOver = false;
      const finish = (destroy: boolean) => {
        isOver = true;
        clearTimeout(timer);
        client?.release(destroy);
      };
      const timer = setTimeout(() => {
        // A connection that still works on a statement nobody waits for must not serve the next one.
        finish(true);
        reject(new StatementError(client ? 'lost' : 'unsent', 'deadline'));
      }, milliseconds);

      const onConnected = (connected: PgClient) => {
        // The wait outlasted the deadline: the connection goes back unused.
        if (isOver) return connected.release();
        client = connected;
        this.#survive(client);
        client.query({ text: sql, values: parameters, rowMode: 'array', types: UNPARSED }).then(
          ({ rows }) => {
            if (isOver) return;
            finish(false);
            resolve(rows);
          },
          (error: unknown) => {
            if (isOver) return;
            const failed = describeFailure(error);
            finish(failed.isConnectionUseless);
            reject(new StatementError(failed.failure, failed.reason));
          },
        );
      };
      const onRefused = (error: unknown) => {
        if (isOver) return;
        finish(false);
        reject(new StatementError('unsent', describeFailure(error).reason));
      };
      this.#pool.connect().then(onConnected, onRefused);
    });
  }

  /** A connection that dies in use emits `error` besides failing its statement; unheard, that ends the process. */
  #survive(client: PgClient): void {
    if (this.#listened.has(client)) return;
    this.#listened.add(client);
    client.on('error', () => {});
  }
}

interface Failure {
  readonly failure: StatementFailure;
  readonly reason: string;
  readonly isConnectionUseless: boolean;
}

const SQLSTATE = /^[0-9A-Z]{5}$/;

/** By SQLSTATE, then by errno, then by message: some real failures have no code (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
function describeFailure(error: unknown): Failure {
  const { code = '', message = '', severity = '' } = error as { code?: string; message?: string; severity?: string };
  if (!SQLSTATE.test(code)) {
    // node-postgres says so where the connection had failed before the statement was written to it.
    const isUnsent = /not queryable|after calling end|client was closed/i.test(message);
    return { failure: isUnsent ? 'unsent' : 'lost', reason: code || 'connection', isConnectionUseless: true };
  }
  return { failure: failureOf(code), reason: code, isConnectionUseless: severity === 'FATAL' || isServerWrong(code) };
}

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
