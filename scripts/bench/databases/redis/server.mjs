import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from '../../../server/launch.mjs';
import { isAlive, signalProcess, until } from '../../../server/process.mjs';

/** As PostgreSQL with synchronous_commit on: what was acknowledged is on the disk. */
export const DURABILITY = { appendonly: 'yes', appendfsync: 'always', save: '' };

const stopDeadline = 20_000;

export async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), 'session-redis-'));
  let port;
  const { pid } = await launch({
    program: 'redis-server',
    flags(onPort) {
      port = onPort;
      const settings = { ...DURABILITY, port, bind: '127.0.0.1', dir: folder };
      return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    },
    folder,
    account: {},
    portTaken: 'Address already in use',
    isReady: () => accepts(port),
  }).catch((error) => {
    rmSync(folder, { recursive: true, force: true });
    if (!error.message.includes('ENOENT')) throw error;
    throw new Error('there is no redis-server: apt-get install -y --no-install-recommends redis-server, or use --only');
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    pid,
    folder,
    async leave() {
      signalProcess(pid, 'SIGTERM');
      await until(() => !isAlive(pid), stopDeadline);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const accepts = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
