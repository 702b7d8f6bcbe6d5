// A MariaDB with nothing in it, and gone after `leave()`. Its folder:
//
//   data/        MariaDB's own
//   users.sql    makes the only user; the password is random, since every account of this machine can reach the port
//   socket, server.log
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { give, publicTmp, serverAccount } from '../server/account.mjs';
import { launch, serverEnv } from '../server/launch.mjs';
import { isAlive, signalProcess, until } from '../server/process.mjs';
import { findMariadb } from './programs.mjs';

const stopDeadline = 20_000;

/** The data is thrown away: nothing has to reach the disk. */
const disposable = [
  '--innodb-log-file-size=32M',
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-flush-method=nosync',
  // "Loose": a server built without it starts all the same.
  '--loose-debug-no-sync',
];
const serving = [
  '--bind-address=127.0.0.1',
  // Users are those of addresses: no look-up of names, which may take seconds.
  '--skip-name-resolve',
  '--character-set-server=utf8mb4',
  '--max-connections=300',
  '--innodb-buffer-pool-size=64M',
];

export async function startTemporaryServer({ port } = {}) {
  const programs = findMariadb();
  if (!programs) throw new Error('there is no mariadbd. Install MariaDB, or set MARIADBD to its path');
  const account = serverAccount(['mysql', 'nobody']);
  const folder = fs.mkdtempSync(join(publicTmp(account), 'session-mariadb-'));
  let pid;
  const leave = async () => {
    // Nothing of it is worth a shutdown.
    if (pid !== undefined && signalProcess(pid, 'SIGKILL')) await until(() => !isAlive(pid), stopDeadline);
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    give(folder, account);
    const password = randomBytes(24).toString('base64url');
    initialize(folder, programs, account, password);
    const server = await launch({
      program: programs.server,
      flags: (onPort) => [...flagsOf(folder), ...disposable, ...serving, `--port=${onPort}`],
      folder,
      account,
      env: envOf(folder),
      port,
      portTaken: 'Address already in use',
      isReady: () => answers(join(folder, 'socket')),
    });
    pid = server.pid;
    return { folder, pid, url: `mariadb://root:${password}@127.0.0.1:${server.port}/`, leave };
  } catch (error) {
    await leave();
    throw error;
  }
}

function initialize(folder, { install, base }, account, password) {
  const users = join(folder, 'users.sql');
  fs.writeFileSync(users, usersSql(password), { mode: 0o600 });
  give(users, account);
  const what = [`--basedir=${base}`, `--extra-file=${users}`, '--skip-test-db', '--skip-name-resolve'];
  const { status, stdout, stderr, error } = spawnSync(install, [...flagsOf(folder), ...what, ...disposable], {
    ...account,
    env: envOf(folder),
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(error?.message ?? `mariadb-install-db exited with ${status}\n${stdout}${stderr}`);
}

/** Removes the users that a new server has, some of them without a password, and makes one. */
const usersSql = (password) => `
  DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
  DELETE FROM mysql.proxies_priv;
  FLUSH PRIVILEGES;
  CREATE USER root@'127.0.0.1' IDENTIFIED BY '${password}';
  GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
`;

const flagsOf = (folder) => [
  // Has to be the first. The machine's own configuration is for its own server.
  '--no-defaults',
  `--datadir=${join(folder, 'data')}`,
  `--socket=${join(folder, 'socket')}`,
  `--pid-file=${join(folder, 'pid')}`,
];

/** The account may not be able to enter our own temporary folder. */
const envOf = (folder) => ({ ...serverEnv(), TMPDIR: folder });

/** Whether a server greets on this socket, which is where nobody but ours can be. */
function answers(socket) {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const settle = (answer) => {
      connection.destroy();
      resolve(answer);
    };
    connection.once('data', () => settle(true));
    for (const end of ['error', 'close']) connection.once(end, () => settle(false));
  });
}
