// The programs of an engine, where the machine has them: they come from its distribution.
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findMariadb } from '../mariadb/programs.mjs';
import { usableBinaries } from '../postgres/binaries.mjs';

/** Where distributions put servers, which is often not in the PATH of a user. */
const serverFolders = ['/usr/sbin', '/usr/local/sbin'];
const postgresFolder = '/usr/lib/postgresql';
const galeraLibraries = ['/usr/lib/galera', '/usr/lib64/galera-4', '/usr/lib64/galera'].map((folder) =>
  join(folder, 'libgalera_smm.so'),
);

/** @returns {string | undefined} the path of a program */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...serverFolders];
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

/** MariaDB's programs with the library that makes a cluster of them. */
export function findGalera() {
  const programs = findMariadb();
  const library = galeraLibraries.find((path) => existsSync(path));
  return programs && library && { ...programs, library };
}

/**
 * The folder of PostgreSQL's programs: POSTGRES_BIN, the distribution's newest, or what npm has brought, which has no
 * pg_rewind.
 */
export async function postgresPrograms(folder, account) {
  const wanted = process.env.POSTGRES_BIN;
  if (wanted) return wanted;
  const installed = existsSync(postgresFolder) ? readdirSync(postgresFolder) : [];
  const newest = installed
    .filter((version) => isProgram(join(postgresFolder, version, 'bin', 'initdb')))
    .sort((a, b) => Number(b) - Number(a))[0];
  if (newest) return join(postgresFolder, newest, 'bin');
  return join(await usableBinaries(folder, account), 'bin');
}

/**
 * What an engine needs that this machine lacks, as the end of "there is no …"; `undefined` where it has all.
 * @param {'postgres' | 'galera' | 'haproxy' | 'pgbouncer'} engine
 */
export function missingFor(engine) {
  const lacks = {
    postgres: () => undefined,
    galera: () => !findGalera() && 'mariadbd with Galera (Debian: mariadb-server galera-4)',
    haproxy: () => !findProgram('haproxy') && 'haproxy',
    pgbouncer: () => !findProgram('pgbouncer') && 'pgbouncer',
  };
  return lacks[engine]() || undefined;
}

export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
