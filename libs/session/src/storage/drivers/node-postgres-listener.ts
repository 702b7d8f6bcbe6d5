import type { DataSource } from 'typeorm';
import type { Listener, ListenerEvents } from '../cache/postgres-announcements.js';

/** As much of node-postgres as listening needs. */
interface PgClient {
  readonly connection?: { readonly stream?: { destroy(): void } };
  on(event: 'error', listener: (error: { code?: string }) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  on(event: 'notification', listener: (notification: { payload?: string }) => void): unknown;
  connect(): Promise<unknown>;
  query(text: string, values?: readonly unknown[]): Promise<unknown>;
  end(): Promise<void>;
  unref?(): void;
}
interface PgPool {
  readonly options: object & { readonly password?: unknown };
  readonly Client: new (options: object) => PgClient;
}

/** Milliseconds to connect, and to take leave. */
const CONNECT_WITHIN = 2_000;
const END_WITHIN = 500;

/**
 * A connection beside the application's pool, to the same primary with the same settings. In the pool it would be missing,
 * and the pool's timeouts would end it.
 *
 * @throws what the driver throws.
 */
export async function openListener(
  dataSource: DataSource,
  channel: string,
  { onNotification, onLost }: ListenerEvents,
): Promise<Listener> {
  const { Client, options } = (dataSource.driver as unknown as { master: PgPool }).master;
  const client = new Client({
    ...options,
    // Not enumerable there.
    password: options.password,
    application_name: 'nestjs-typeorm-session cache',
    connectionTimeoutMillis: CONNECT_WITHIN,
    keepAlive: true,
  });
  // Unheard, an error ends the process.
  client.on('error', ({ code }) => onLost(code ?? 'connection'));
  client.on('end', () => onLost('connection'));
  client.on('notification', ({ payload }) => onNotification(payload ?? ''));
  const close = async () => {
    // A connection that has died in silence never says that it has ended.
    const timer = setTimeout(() => client.connection?.stream?.destroy(), END_WITHIN);
    try {
      await client.end();
    } catch {
      // It is no more, as it should be.
    } finally {
      clearTimeout(timer);
    }
  };
  try {
    await client.connect();
    await client.query(`LISTEN ${channel}`);
  } catch (error) {
    void close();
    throw error;
  }
  // A process that has nothing else to do may end.
  client.unref?.();
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(sql, parameters) {
      // One after the other: node-postgres will no longer queue for its callers.
      const answer = last.then(() => client.query(sql, parameters));
      last = answer.catch(() => {});
      return answer.then(() => {});
    },
    close,
  };
}
