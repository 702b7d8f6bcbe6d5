// PgBouncer in transaction mode in front of a PostgreSQL: a client has a server's connection for one transaction only.
import { connect } from 'node:net';
import { join } from 'node:path';
import { findProgram } from './programs.mjs';
import { reservePorts, ServerGroup } from './server-group.mjs';

export class PgBouncer {
  /** @type {number} */ port;
  #group;
  #target;
  #poolSize;

  /**
   * @param {string} url of the PostgreSQL behind it, or of the HAProxy before that
   * @param {object} [options]
   * @param {number} [options.poolSize] connections to the server; with 2, clients get in each other's way where they can
   */
  static async start(url, { poolSize = 20 } = {}) {
    const bouncer = new PgBouncer(url, poolSize);
    try {
      await bouncer.#start();
      return bouncer;
    } catch (error) {
      await bouncer.close();
      throw error;
    }
  }

  /** Use {@link PgBouncer.start}. */
  constructor(url, poolSize) {
    this.#target = new URL(url);
    this.#poolSize = poolSize;
    this.#group = new ServerGroup('pgbouncer', ['postgres']);
  }

  async #start() {
    const program = findProgram('pgbouncer');
    if (!program) throw new Error('there is no pgbouncer. On Debian: apt install pgbouncer');
    [this.port] = await reservePorts(1);
    const { username, password, port } = this.#target;
    const users = join(this.#group.folder, 'users.txt');
    this.#group.writeFile(users, `"${username}" "${password}"\n`);
    const path = join(this.#group.folder, 'pgbouncer.ini');
    this.#group.writeFile(path, configuration(this.port, port, users, this.#poolSize));
    const server = this.#group.spawn('pgbouncer', program, [path]);
    await server.ready(() => accepts(this.port));
  }

  /** As that of the PostgreSQL, but for the port. */
  url() {
    const url = new URL(this.#target);
    url.port = String(this.port);
    return url.href;
  }

  async close() {
    await this.#group.close();
  }
}

const configuration = (port, target, users, poolSize) => `
[databases]
* = host=127.0.0.1 port=${target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 500
server_login_retry = 0.2
server_connect_timeout = 2
ignore_startup_parameters = extra_float_digits
`;

function accepts(port) {
  return new Promise((resolve) => {
    const connection = connect(port, '127.0.0.1');
    connection.once('connect', () => resolve(true)).once('error', () => resolve(false));
    connection.once('connect', () => connection.destroy());
  });
}
