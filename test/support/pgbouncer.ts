import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Pgbouncer {
  /** The database's URL through the pooler. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Debian puts it where the path of a normal user does not lead. */
const program = ['pgbouncer', '/usr/sbin/pgbouncer'].find((name) => !spawnSync(name, ['--version']).error);

/** Whether there is a PgBouncer on this machine (Debian: `pgbouncer`). */
export const hasPgbouncer = program !== undefined;

/** A PgBouncer that pools by transaction, on two connections. */
export async function startPgbouncer(databaseUrl: string): Promise<Pgbouncer> {
  const database = new URL(databaseUrl);
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${await freePort()}`;
  const name = database.pathname.slice(1);
  const { username, password } = database;
  const target = `host=${database.hostname} port=${database.port} dbname=${name} user=${username} password=${password}`;
  const folder = mkdtempSync('/tmp/session-pgbouncer-');
  chmodSync(folder, 0o755);
  const file = join(folder, 'pgbouncer.ini');
  const settings = [
    '[databases]',
    `${name} = ${target}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${url.port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 2',
  ];
  writeFileSync(file, settings.join('\n'));
  const pooler = spawn(program!, ['--quiet', file], { ...account(), stdio: 'ignore' });
  const exited = once(pooler, 'exit');
  while (!(await accepts(Number(url.port)))) {
    if (pooler.exitCode !== null) throw new Error(`pgbouncer ended with ${pooler.exitCode}`);
    await delay(20);
  }
  return {
    url: url.href,
    async stop() {
      pooler.kill('SIGINT');
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}

/** It refuses to run as root. */
function account(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout);
  return { uid: id('-u'), gid: id('-g') };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
