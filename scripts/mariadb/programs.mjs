// MariaDB's programs, where the machine has them.
import { accessSync, constants } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Where distributions put a server, which is often not in the PATH of a user. */
const serverFolders = ['/usr/sbin', '/usr/local/sbin', '/usr/libexec'];

/**
 * @returns {{ server: string, install: string, base: string } | undefined} `install` makes a data folder; `base` is the
 *   folder that all programs are below
 */
export function findMariadb() {
  const wanted = process.env.MARIADBD;
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...serverFolders];
  const server = wanted ?? firstProgram(folders.map((folder) => join(folder, 'mariadbd')));
  if (!server) return undefined;
  const base = dirname(dirname(server));
  const install = firstProgram(['bin', 'scripts'].map((folder) => join(base, folder, 'mariadb-install-db')));
  if (install && isProgram(server)) return { server, install, base };
  // A server without the script beside it is one we cannot use; one that somebody has named is a mistake to tell.
  if (wanted) throw new Error(`MARIADBD is ${wanted}, and that is no server with its mariadb-install-db`);
  return undefined;
}

const firstProgram = (paths) => paths.find(isProgram);

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
