// One PostgreSQL, which writes to the disk what it acknowledges and is started again on the same data.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { postgresPrograms } from '../../engines/programs.mjs';
import { reservePorts, ServerGroup } from '../../engines/server-group.mjs';
import { dataOf, runningServer } from '../../postgres/server.mjs';
import { give, publicTmp } from '../../server/account.mjs';
import { serverEnv } from '../../server/launch.mjs';
import { SmallDisk } from './small-disk.mjs';

/** With room for a million expired rows. */
const DISK_SIZE = '2g';

const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' };

export class PostgresSingle {
  #group = new ServerGroup('postgres-single', ['postgres']);
  #password = randomBytes(24).toString('base64url');
  #bin;
  #port;
  #server;
  /** What the tables of the application are on. */
  disk = new SmallDisk(DISK_SIZE, publicTmp(this.#group.account));

  static async start() {
    const single = new PostgresSingle();
    try {
      await single.#start();
      return single;
    } catch (error) {
      await single.close();
      throw error;
    }
  }

  async #start() {
    const { folder, account } = this.#group;
    this.#bin = await postgresPrograms(folder, account);
    [this.#port] = await reservePorts(1);
    const password = join(folder, 'password');
    this.#group.writeFile(password, this.#password);
    const how = ['-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions'];
    const flags = ['-D', dataOf(folder), '-U', 'postgres', `--pwfile=${password}`, ...how];
    const options = { ...account, cwd: folder, env: serverEnv(), stdio: ['ignore', 'ignore', 'pipe'] };
    execFileSync(join(this.#bin, 'initdb'), flags, options);
    give(this.disk.folder, account);
    await this.launch();
    await this.query(`CREATE TABLESPACE small LOCATION '${this.disk.folder}'`);
    await this.query('ALTER DATABASE postgres SET default_tablespace = small');
  }

  url() {
    return `postgres://postgres:${this.#password}@127.0.0.1:${this.#port}/postgres`;
  }

  /** Runs SQL on a connection of its own. */
  async query(sql, { timeout = 10_000 } = {}) {
    const client = new pg.Client({
      connectionString: this.url(),
      connectionTimeoutMillis: timeout,
      query_timeout: timeout,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return (await client.query(sql)).rows;
    } finally {
      await client.end().catch(() => {});
    }
  }

  async launch() {
    const { folder } = this.#group;
    const settings = {
      port: this.#port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: 200,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = this.#group.spawn('postgres', join(this.#bin, 'postgres'), ['-D', dataOf(folder), ...flags]);
    this.#server = server;
    await server.ready(() => {
      const found = runningServer(folder);
      return found?.pid === server.pid && found.ready;
    });
  }

  /** @param {'fast' | 'immediate'} mode see pg_ctl */
  async stop(mode) {
    await this.#server.stop(SIGNALS[mode]);
  }

  async kill() {
    await this.#server.kill();
  }

  get pid() {
    return this.#server.pid;
  }

  async close() {
    await this.#group.close();
    this.disk.release();
  }
}
