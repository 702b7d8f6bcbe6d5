// Three MariaDB servers that are one Galera cluster, all of them primaries, on loopback, and what happens to such servers.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import mysql from 'mysql2/promise';
import { serverEnv } from '../server/launch.mjs';
import { findGalera } from './programs.mjs';
import { reservePorts, ServerGroup } from './server-group.mjs';

const execute = promisify(execFile);
const NODES = [1, 2, 3];
const LOG_SIZE = '--innodb-log-file-size=32M';

/** @typedef {1 | 2 | 3} NodeNumber */
/** @typedef {{ sql: number, group: number, transfer: number, snapshot: number }} Ports */

export class GaleraTrio {
  kind = /** @type {const} */ ('galera');
  #group;
  #programs;
  #password = randomBytes(24).toString('base64url');
  /** @type {Ports[]} */
  #ports = [];
  #settings;
  /** @type {Map<NodeNumber, import('./server-group.mjs').ServerProcess>} */
  #servers = new Map();

  /**
   * @param {object} [options]
   * @param {0 | 1} [options.syncWait] wsrep_sync_wait of all connections: with 1 a read sees what was acknowledged by any
   *   node before it. MariaDB's default, and ours here, is 0
   * @param {boolean} [options.fast] a node that died is given up after 1.5 s, and not after Galera's 5 s
   */
  static async start({ syncWait = 0, fast = true } = {}) {
    const trio = new GaleraTrio({ syncWait, fast });
    try {
      await trio.#start();
      return trio;
    } catch (error) {
      await trio.close();
      throw error;
    }
  }

  /** Use {@link GaleraTrio.start}. */
  constructor(settings) {
    const programs = findGalera();
    if (!programs) throw new Error('there is no MariaDB with Galera. On Debian: apt install mariadb-server galera-4');
    this.#programs = programs;
    this.#settings = settings;
    this.#group = new ServerGroup('galera', ['mysql']);
  }

  async #start() {
    const ports = await reservePorts(NODES.length * 4);
    this.#ports = NODES.map(() => {
      const [sql, group, transfer, snapshot] = ports.splice(0, 4);
      return { sql, group, transfer, snapshot };
    });
    this.#group.makeFolder('sst');
    this.#group.makeFolder('bin');
    const script = 'wsrep_sst_folder';
    const text = fs.readFileSync(fileURLToPath(new URL(`galera/${script}`, import.meta.url)));
    this.#group.writeFile(join(this.#group.folder, 'bin', script), text, 0o700);
    await this.#initialize();
    // One after the other: two that join at once get in each other's way.
    await this.#launch(1, ['--wsrep-new-cluster']);
    for (const node of [2, 3]) await this.#launch(node);
    await this.query('CREATE DATABASE sessions CHARACTER SET utf8mb4');
  }

  /** @type {number[]} of nodes 1 to 3; they stay the same over restarts */
  get ports() {
    return this.#ports.map(({ sql }) => sql);
  }

  get urls() {
    return NODES.map((node) => this.url(node));
  }

  /** @param {NodeNumber} [node] It holds the password */
  url(node = 1) {
    return `mariadb://root:${this.#password}@127.0.0.1:${this.ports[node - 1]}/sessions`;
  }

  /** Runs SQL on a node, on a connection of its own. @returns {Promise<any>} rows, or what mysql2 tells of a write */
  async query(sql, { node = 1, parameters = [], timeout = 10_000 } = {}) {
    const url = new URL(this.url(node));
    const connection = await mysql.createConnection({
      host: url.hostname,
      port: Number(url.port),
      user: url.username,
      password: url.password,
      connectTimeout: timeout,
    });
    try {
      return (await connection.query({ sql, values: parameters, timeout }))[0];
    } finally {
      connection.destroy();
    }
  }

  /** A crash. The others go on after 1.5 s, or 5 s where the cluster is not `fast`. */
  async kill(node) {
    await this.#servers.get(node)?.kill();
  }

  /** It holds its connections and answers nothing. */
  freeze(node) {
    this.#running(node).freeze();
  }

  thaw(node) {
    this.#running(node).thaw();
  }

  /** It says good-bye to the others. */
  async stop(node) {
    await this.#servers.get(node)?.stop('SIGTERM');
  }

  /** Starts a node that is down and waits until it has all the data of the others. */
  async rejoin(node) {
    await this.stop(node);
    await this.#launch(node);
  }

  /** Makes a cluster of a node that has lost the others, and with them the quorum. Only where the others are surely down. */
  async bootstrap(node) {
    await this.query("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=true'", { node });
    await this.#synced(node);
  }

  /**
   * After a crash of all three: starts the cluster with the node that has most, and lets the others join.
   * @returns {Promise<NodeNumber>} that node
   */
  async recover() {
    if (NODES.some((node) => this.#servers.get(node)?.isRunning)) throw new Error('some nodes are still running');
    const positions = [];
    for (const node of NODES) positions.push({ node, position: await this.#recoverPosition(node) });
    const last = ({ position }) => Number(position.slice(position.lastIndexOf(':') + 1));
    positions.sort((a, b) => last(b) - last(a));
    const [{ node, position }] = positions;
    this.#allowBootstrap(node);
    await this.#launch(node, ['--wsrep-new-cluster', `--wsrep-start-position=${position}`]);
    for (const other of NODES) if (other !== node) await this.#launch(other);
    return node;
  }

  /** Whether a node serves sessions: in the quorum, and with all the data. `SELECT 1` is answered by one that is not. */
  async isReady(node, timeout = 1000) {
    try {
      const { wsrep_ready: ready, wsrep_local_state: state } = await this.#status(node, timeout);
      return ready === 'ON' && state === '4';
    } catch {
      return false;
    }
  }

  /** Each node in a line, for people. */
  async status() {
    return Promise.all(
      NODES.map(async (node) => {
        try {
          const status = await this.#status(node, 1000);
          const { wsrep_cluster_status: cluster, wsrep_local_state_comment: state, wsrep_cluster_size: size } = status;
          return `n${node}: ${state}, ${cluster}, ${size} nodes, ready ${status.wsrep_ready}`;
        } catch (error) {
          return `n${node}: ${this.#servers.get(node)?.isRunning ? 'does not answer' : 'down'} (${error.code ?? error.message})`;
        }
      }),
    );
  }

  async close() {
    await this.#group.close();
  }

  #running(node) {
    const server = this.#servers.get(node);
    if (!server?.isRunning) throw new Error(`node ${node} is not running`);
    return server;
  }

  async #status(node, timeout) {
    // Not by SELECT: with wsrep_sync_wait that is an error (1205) on a node outside the quorum.
    const rows = await this.query("SHOW GLOBAL STATUS LIKE 'wsrep\\_%'", { node, timeout });
    return Object.fromEntries(rows.map(({ Variable_name: name, Value: value }) => [name, value]));
  }

  /** The data of node 1. The others copy it when they join: that takes them a second, and there is nothing to prepare. */
  async #initialize() {
    const { folder, account } = this.#group;
    const users = join(folder, 'users.sql');
    this.#group.writeFile(users, usersSql(this.#password));
    for (const node of NODES) this.#group.makeFolder(`n${node}`);
    for (const node of [2, 3]) this.#group.makeFolder(`n${node}/data`);
    const what = [`--basedir=${this.#programs.base}`, `--extra-file=${users}`, '--skip-test-db', '--skip-name-resolve'];
    await execute(this.#programs.install, ['--no-defaults', `--datadir=${this.#dataOf(1)}`, LOG_SIZE, ...what], {
      ...account,
      cwd: folder,
      env: { ...serverEnv(), HOME: folder, TMPDIR: folder },
    });
  }

  #dataOf = (node) => join(this.#group.folder, `n${node}`, 'data');

  #allowBootstrap(node) {
    const path = join(this.#dataOf(node), 'grastate.dat');
    const state = fs.readFileSync(path, 'utf8');
    this.#group.writeFile(path, state.replace(/safe_to_bootstrap: *\d/, 'safe_to_bootstrap: 1'));
  }

  async #launch(node, flags = []) {
    const path = `${join(this.#group.folder, 'bin')}:${process.env.PATH}`;
    const all = [...this.#flagsOf(node), ...flags];
    const server = this.#group.spawn(`n${node}`, this.#programs.server, all, { PATH: path });
    this.#servers.set(node, server);
    await server.ready(() => this.isReady(node));
  }

  async #synced(node) {
    await this.#running(node).ready(() => this.isReady(node));
  }

  /** The last write that a node which crashed has on its disk, as `UUID:number`. */
  async #recoverPosition(node) {
    const server = this.#group.spawn(`n${node}`, this.#programs.server, [...this.#flagsOf(node), '--wsrep-recover']);
    await server.exited;
    const position = /Recovered position: ([0-9a-f-]{36}:-?\d+)/.exec(server.output)?.[1];
    if (!position) throw new Error(`node ${node} does not tell its position\n${server.output.slice(-4000)}`);
    return position;
  }

  #flagsOf(node) {
    const { sql, group, transfer, snapshot } = this.#ports[node - 1];
    const { syncWait, fast } = this.#settings;
    const provider = {
      base_host: '127.0.0.1',
      base_port: group,
      'gmcast.listen_addr': `tcp://127.0.0.1:${group}`,
      'ist.recv_addr': `127.0.0.1:${transfer}`,
      'gcache.size': '32M',
      ...(fast && {
        'evs.keepalive_period': 'PT0.3S',
        'evs.inactive_check_period': 'PT0.3S',
        'evs.suspect_timeout': 'PT1.5S',
        'evs.inactive_timeout': 'PT3S',
        'evs.install_timeout': 'PT3S',
      }),
    };
    return [
      // Has to be the first. The machine's own configuration is for its own server.
      '--no-defaults',
      `--datadir=${this.#dataOf(node)}`,
      `--socket=${join(this.#group.folder, `n${node}`, 'socket')}`,
      `--pid-file=${join(this.#group.folder, `n${node}`, 'pid')}`,
      `--port=${sql}`,
      '--bind-address=127.0.0.1',
      '--skip-name-resolve',
      '--character-set-server=utf8mb4',
      '--max-connections=300',
      '--innodb-buffer-pool-size=64M',
      LOG_SIZE,
      '--binlog-format=ROW',
      '--innodb-autoinc-lock-mode=2',
      // The operating system has what was committed. With 0 all three lose it when they are killed together.
      '--innodb-flush-log-at-trx-commit=2',
      '--wsrep-on=ON',
      `--wsrep-provider=${this.#programs.library}`,
      '--wsrep-cluster-name=sessions',
      `--wsrep-cluster-address=gcomm://${this.#ports.map((ports) => `127.0.0.1:${ports.group}`).join(',')}`,
      `--wsrep-node-name=n${node}`,
      `--wsrep-node-address=127.0.0.1:${group}`,
      `--wsrep-node-incoming-address=127.0.0.1:${sql}`,
      '--wsrep-sst-method=folder',
      `--wsrep-sst-receive-address=127.0.0.1:${snapshot}`,
      '--wsrep-slave-threads=2',
      `--wsrep-sync-wait=${syncWait}`,
      `--wsrep-provider-options=${Object.entries(provider)
        .map(([name, value]) => `${name}=${value}`)
        .join(';')}`,
    ];
  }
}

/** Removes the users that a new server has, some of them without a password, and makes one. */
const usersSql = (password) => `
  DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
  DELETE FROM mysql.proxies_priv;
  FLUSH PRIVILEGES;
  CREATE USER root@'127.0.0.1' IDENTIFIED BY '${password}';
  GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
`;
