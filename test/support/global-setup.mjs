import { findMariadb, startMariadb } from '../../scripts/mariadb.mjs';
import { startPostgres } from '../../scripts/postgres.mjs';

/**
 * One server of each kind for the whole run, or those in TEST_DATABASE_URL and TEST_MARIADB_URL. Each test file makes a
 * database of its own.
 */
export default async function setup() {
  await Promise.all([setUpPostgres(), setUpMariadb()]);
  if (!process.env.TEST_MYSQL_URL) console.log('MySQL: not run. Its tests need a server in TEST_MYSQL_URL.');
}

async function setUpPostgres() {
  if (process.env.TEST_DATABASE_URL) return;
  globalThis.testPostgres = await startPostgres();
  process.env.TEST_DATABASE_URL = globalThis.testPostgres.url;
}

async function setUpMariadb() {
  if (process.env.TEST_MARIADB_URL) return;
  if (!findMariadb()) {
    console.log('MariaDB: skipped. There is no mariadbd on this machine, and no TEST_MARIADB_URL.');
    return;
  }
  globalThis.testMariadb = await startMariadb();
  process.env.TEST_MARIADB_URL = globalThis.testMariadb.url;
}
