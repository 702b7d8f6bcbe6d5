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
    this.#group.writeFile(path, configuration(this.port, healthPort, this.#engine.ports));
    const server = this.#group.spawn('haproxy', program, ['-db', '-f', path]);
    await server.ready(() => answers(this.port, this.#engine.kind));
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
const configuration = (port, healthPort, ports) => `
global
  maxconn 2000
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

/** Asks a PostgreSQL whether it does TLS, as its clients may before anything else. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** Whether a database answers behind the port: the proxy itself takes any connection, and closes it where nobody serves. */
function answers(port, kind) {
  return new Promise((resolve) => {
    const connection = connect(port, '127.0.0.1');
    const settle = (answer) => {
      connection.destroy();
      resolve(answer);
    };
    if (kind === 'postgres') connection.once('connect', () => connection.write(sslRequest));
    connection.once('data', () => settle(true));
    for (const end of ['error', 'close']) connection.once(end, () => settle(false));
  });
}
