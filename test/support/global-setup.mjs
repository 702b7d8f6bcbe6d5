import { startPostgres } from '../../scripts/postgres.mjs';

/** One PostgreSQL for the whole run, or the one in TEST_DATABASE_URL. Each test file makes a database of its own. */
export default async function setup() {
  if (process.env.TEST_DATABASE_URL) return;
  globalThis.testPostgres = await startPostgres();
  process.env.TEST_DATABASE_URL = globalThis.testPostgres.url;
}
