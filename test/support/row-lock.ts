import pg from 'pg';
import type { TestDatabase } from './database.js';

/** Somebody else's open transaction, in whose way a session's write stands. */
export interface RowLock {
  release(): Promise<void>;
}

/** Locks all sessions that there are: they can be read, and not written. */
export function lockRows(database: TestDatabase): Promise<RowLock> {
  return lock(database, 'SELECT id FROM sessions FOR UPDATE');
}

/** Locks the table, so that none can be added either. */
export function lockTable(database: TestDatabase): Promise<RowLock> {
  return lock(database, 'LOCK TABLE sessions IN SHARE MODE');
}

/** How many statements are waiting for a lock. */
export async function countWaiting(database: TestDatabase): Promise<number> {
  const rows = await database.query<{ n: string }>(
    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
  );
  return Number(rows[0]!.n);
}

async function lock(database: TestDatabase, statement: string): Promise<RowLock> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('BEGIN');
  await client.query(statement);
  return { release: () => client.end() };
}
