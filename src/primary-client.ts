import { callbackify } from 'node:util';
import pg from 'pg';

/** Milliseconds for one server to say what it is. */
const PATIENCE = 500;

/**
 * A `Client` for node-postgres that connects to whichever of several servers is the primary at that moment. The driver has
 * neither a list of hosts nor `target_session_attrs`. Connections of a pool that fail are replaced, so after a failover
 * the pool fills with connections to the new primary by itself:
 *
 *     TypeOrmModule.forRoot({ type: 'postgres', url: urls[0], extra: { Client: primaryClient(urls) } })
 *
 * Of two that think they are the primary, the one that was promoted last is meant: it has the higher timeline.
 */
export function primaryClient(urls: readonly string[]): typeof pg.Client {
  const servers = urls.map((url) => new URL(url));
  let search: Promise<URL> | undefined;
  /** Pools open many connections at once: they share one search. */
  const findPrimary = () => (search ??= searchAmong(servers).finally(() => (search = undefined)));

  return class PrimaryClient extends pg.Client {
    override connect(): Promise<pg.Client>;
    override connect(callback: (error: Error) => void): void;
    override connect(callback?: (error: Error) => void): Promise<pg.Client> | void {
      if (!callback) return this.#connectToPrimary();
      callbackify(() => this.#connectToPrimary())(callback);
    }

    async #connectToPrimary(): Promise<pg.Client> {
      const { hostname, port } = await findPrimary();
      Object.assign(this, { host: hostname, port: Number(port || 5432) });
      return super.connect();
    }
  };
}

async function searchAmong(servers: readonly URL[]): Promise<URL> {
  const timelines = await Promise.all(servers.map((server) => timelineOf(server).catch(() => 0)));
  const newest = Math.max(...timelines);
  const primary = servers[timelines.indexOf(newest)];
  if (newest > 0 && primary) return primary;
  throw new Error('None of the database servers is a primary at the moment.');
}

/** Of a primary; 0 for a standby. It counts the promotions, and is the beginning of a WAL file's name. */
async function timelineOf({ href }: URL): Promise<number> {
  const client = new pg.Client({ connectionString: href, connectionTimeoutMillis: PATIENCE, query_timeout: PATIENCE });
  client.on('error', () => {});
  try {
    await client.connect();
    // A standby has no current position: asking it would be an error.
    const sql = 'SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END AS file';
    const [row] = (await client.query<{ file: string | null }>(sql)).rows;
    return Number.parseInt(row?.file?.slice(0, 8) ?? '0', 16);
  } finally {
    client.end().catch(() => {});
  }
}
