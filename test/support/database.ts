import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';

export interface TestDatabase {
  readonly url: string;
  /** Runs SQL on connections of its own, past the application and the library. */
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(sql: string, params?: unknown[]): Promise<Row[]>;
  /** Removes the database, whoever is still connected. */
  drop(): Promise<void>;
}

/** An empty PostgreSQL database, so that test files can run side by side. */
export async function createDatabase(): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(adminUrl());
  url.pathname = `/${name}`;

  const pool = openPool(url.href, { max: 4, allowExitOnIdle: true });

  return {
    url: url.href,
    async query<Row extends pg.QueryResultRow>(sql: string, params?: unknown[]) {
      return (await pool.query<Row>(sql, params)).rows;
    },
    async drop() {
      await pool.end();
      await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

/**
 * A pool of node-postgres that outlives what happens to its idle connections: a test terminates them, and `drop` does
 * too, since `pool.end()` resolves before the server has heard of it. Without a listener that error ends the process.
 */
export function openPool(url: string, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ ...options, connectionString: url });
  pool.on('error', () => undefined);
  return pool;
}

/** Runs the library's migration, as a deployment of the application would; with that of the functions, where they are wanted. */
export async function migrate(url: string, { functions = false } = {}): Promise<void> {
  // Imported late: tests of the storage alone need a database and not the whole library.
  const { CreateSessionFunctions1764300000000, CreateSessions1764000000000, SessionEntity } =
    await import('nestjs-typeorm-session');
  const migrations = [CreateSessions1764000000000, ...(functions ? [CreateSessionFunctions1764300000000] : [])];
  const dataSource = new DataSource({ type: 'postgres', url, entities: [SessionEntity], migrations });
  await dataSource.initialize();
  try {
    await dataSource.runMigrations();
  } finally {
    await dataSource.destroy();
  }
}

function adminUrl(): string {
  const url = process.env.TEST_DATABASE_URL;
  if (!url) {
    throw new Error(
      'TEST_DATABASE_URL is not set: run the tests with `npm test`, whose global setup starts a PostgreSQL.',
    );
  }
  return url;
}

async function administer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl() });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
