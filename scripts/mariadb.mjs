// Starts a private, temporary MariaDB with the programs that the machine has: on loopback alone, in a folder that is
// deleted at the end. It does not outlive us (server/start-guarded.mjs).
import { startGuarded } from './server/start-guarded.mjs';

export { findMariadb } from './mariadb/programs.mjs';

/**
 * @param {{ port?: number }} [options] without `port` a free one is taken
 * @returns {Promise<{ url: string, pid: number, folder: string, stop(): Promise<void> }>} the URL is that of a user who
 *   may do everything, and holds the password; `pid` is the server's
 */
export function startMariadb(options = {}) {
  return startGuarded('MariaDB', new URL('mariadb/guardian.mjs', import.meta.url), options);
}
