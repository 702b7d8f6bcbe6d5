import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { TestDatabase } from './database.js';

/** Runs with all sessions that there are locked by somebody else: they can be read, and not written. */
export function whileRowsAreLocked<R>(database: TestDatabase, work: () => Promise<R>): Promise<R> {
  return whileLocked(database, 'SELECT id FROM sessions FOR UPDATE', work);
}

/** Runs with the table locked, so that no session can be added either. */
export function whileTableIsLocked<R>(database: TestDatabase, work: () => Promise<R>): Promise<R> {
  return whileLocked(database, 'LOCK TABLE sessions IN SHARE MODE', work);
}

/** How many statements are waiting for a lock. */
async function countWaiting(database: TestDatabase): Promise<number> {
  const rows = await database.query<{ n: string }>(
    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
  );
  return Number(rows[0]!.n);
}

/** Resolves when so many statements are waiting for a lock, or after a while: the test then says what is missing. */
export async function waitForWaiting(database: TestDatabase, count: number): Promise<void> {
  for (const end = performance.now() + 3_000; performance.now() < end; await delay(10)) {
    if ((await countWaiting(database)) >= count) return;
  }
}

/** Runs with what a statement locks held by somebody else. */
export async function whileLocked<R>(database: TestDatabase, statement: string, work: () => Promise<R>): Promise<R> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query(statement);
    return await work();
  } finally {
    // Which ends the transaction too.
    await client.end();
  }
}
