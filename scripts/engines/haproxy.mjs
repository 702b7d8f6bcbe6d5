// HAProxy in front of a trio: one address, behind it the server that sessions can be kept on at the moment.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from './programs.mjs';
import { reservePorts, ServerGroup } from './server-group.mjs';

export class HaProxy {
  /** @type {number} */ port;
  #group;
  #health;
  #engine;

  /**
   * @param {import('./postgres-trio.mjs').PostgresTrio | import('./galera-trio.mjs').GaleraTrio} engine of PostgreSQL it
   *   is the primary that is connected to; of Galera the node with the fewest connections
   */
  static async start(engine) {
    const proxy = new HaProxy(engine);
    try {
      await proxy.#start();
      return proxy;
    } catch (error) {
      await proxy.close();
      throw error;
    }
  }

  /** Use {@link HaProxy.start}. */
  constructor(engine) {
    this.#engine = engine;
    this.#group = new ServerGroup('haproxy', ['haproxy']);
  }

  async #start() {
    const program = findProgram('haproxy');
    if (!program) throw new Error('there is no haproxy. On Debian: apt install haproxy');
    [this.port] = await reservePorts(1);
    const healthPort = await this.#startHealth();
    const path = join(this.#group.folder, 'haproxy.cfg');
    const socket = join(this.#group.folder, 'socket');
    this.#group.writeFile(path, configuration(this.port, socket, healthPort, this.#engine.ports));
    const server = this.#group.spawn('haproxy', program, ['-db', '-f', path]);
    await server.ready(() => hasLooked(socket));
  }

  /** As that of the engine, but for the port. */
  url() {
    const url = new URL(this.#engine.url(1));
    url.port = String(this.port);
    return url.href;
  }

  async close() {
    if (this.#health?.connected) this.#health.disconnect();
    await this.#group.close();
  }

  async #startHealth() {
    this.#health = fork(fileURLToPath(new URL('health.mjs', import.meta.url)), {
      // It ends with the channel, and not with a Ctrl-C.
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '' },
      execArgv: [],
    });
    const failed = once(this.#health, 'exit').then(([code]) => {
      throw new Error(`the health server ended with ${code}`);
    });
    failed.catch(() => {});
    this.#health.send({ kind: this.#engine.kind, urls: this.#engine.urls });
    const [{ port }] = await Promise.race([once(this.#health, 'message'), failed]);
    for (const handle of [this.#health, this.#health.channel]) handle.unref();
    return port;
  }
}

/**
 * `on-marked-down shutdown-sessions` is what matters: connections to a server that no longer serves are closed, and the
 * pools of the application make new ones, to another. A connection is given to a server at once or not at all: what waits
 * in HAProxy counts against the application's time limit on connecting.
 */
const configuration = (port, socket, healthPort, ports) => `
global
  maxconn 2000
  stats socket ${socket} mode 600
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 500ms
  retries 2
  option redispatch
listen database
  bind 127.0.0.1:${port}
  balance leastconn
  option httpchk
  http-check connect addr 127.0.0.1 port ${healthPort}
  http-check send meth GET uri-lf /%[srv_name]
  http-check expect status 200
  default-server inter 150ms fastinter 100ms downinter 150ms fall 2 rise 1 on-marked-down shutdown-sessions
${ports.map((serverPort, index) => `  server ${index + 1} 127.0.0.1:${serverPort} check`).join('\n')}
`;

/**
 * Whether it knows its servers by now, and one of them serves: until it has looked, it takes all for good.
 * @see https://docs.haproxy.org/2.6/management.html#9.1 the fields of its statistics
 */
async function hasLooked(socket) {
  const lines = (await ask(socket, 'show stat -1 4 -1')).trim().split('\n');
  const names = lines[0].split(',');
  const servers = lines.slice(1).map((line) => {
    const fields = line.split(',');
    return { status: fields[names.indexOf('status')], check: fields[names.indexOf('check_status')] };
  });
  // "UP 1/2" is on its way down, and `INI` has not been looked at.
  const isKnown = ({ status, check }) => ['UP', 'DOWN'].includes(status) && !['', 'INI'].includes(check);
  return servers.length > 0 && servers.every(isKnown) && servers.some(({ status }) => status === 'UP');
}

function ask(socket, command) {
  return new Promise((resolve) => {
    let text = '';
    const connection = connect(socket);
    connection.setEncoding('utf8').on('data', (part) => (text += part));
    connection.once('connect', () => connection.write(`${command}\n`));
    // What is not there yet has nothing to say.
    for (const end of ['error', 'close']) connection.once(end, () => resolve(text));
  });
}
