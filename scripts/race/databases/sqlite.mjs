// One file that all processes open. Its driver has to be compiled, and is no dependency of the project: it is installed
// into ../sqlite, with a lock of its own, when it is needed for the first time.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const entity = 'SqliteSessionEntity';

const home = fileURLToPath(new URL('../sqlite/', import.meta.url));
const load = () => createRequire(home)('better-sqlite3');

/** @param {string} [folder] an empty one to keep the file in; without, a temporary one is made */
export function start(folder = mkdtempSync(join(tmpdir(), 'session-race-'))) {
  install();
  const Database = load();
  const location = join(folder, 'race.db');
  const connection = new Database(location, { timeout: 20_000 });
  const query = (sql) => {
    const statement = connection.prepare(sql);
    return statement.reader ? statement.all() : statement.run();
  };
  const [{ version }] = query('SELECT sqlite_version() AS version');
  return {
    location,
    version,
    query,
    stop({ keepsFolder = false } = {}) {
      connection.close();
      if (!keepsFolder) rmSync(folder, { recursive: true });
    },
  };
}

export const dataSource = (database) => ({ type: 'better-sqlite3', database, driver: load(), enableWAL: true });

function install() {
  if (existsSync(join(home, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'))) return;
  console.log('installing better-sqlite3, which may be compiled: a minute or two');
  execFileSync('npm', ['ci', '--prefix', home, '--no-audit', '--no-fund'], { stdio: ['ignore', 'ignore', 'inherit'] });
}
