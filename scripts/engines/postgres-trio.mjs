// A PostgreSQL primary with two streaming standbys on loopback, and what happens to such servers: they crash, hang, stop,
// are promoted, and come back.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { dataOf, runningServer } from '../postgres/server.mjs';
import { serverEnv } from '../server/launch.mjs';
import { until } from '../server/process.mjs';
import { isProgram, postgresPrograms } from './programs.mjs';
import { reservePorts, ServerGroup } from './server-group.mjs';

const execute = promisify(execFile);
const NODES = [1, 2, 3];
const streamDeadline = 20_000;

/**
 * In a file and not as flags: pg_rewind starts the server by itself and knows no flags of ours.
 * @see https://www.postgresql.org/docs/current/app-pgrewind.html
 */
const SETTINGS = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
wal_level = replica
wal_log_hints = on
max_wal_senders = 8
wal_keep_size = 512MB
hot_standby = on
wal_receiver_status_interval = 1s
wal_receiver_timeout = 5s
wal_sender_timeout = 5s
wal_retrieve_retry_interval = 200ms
`;
/** What processes that are killed lose is the same: the operating system keeps what was written. */
const DISPOSABLE = 'fsync = off\n';

const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' };

/** @typedef {1 | 2 | 3} NodeNumber */

export class PostgresTrio {
  kind = /** @type {const} */ ('postgres');
  /** @type {NodeNumber} the node that writes go to, as far as we have ordered it */
  primary = 1;
  /** @type {number[]} of nodes 1 to 3; they stay the same over restarts */
  ports = [];
  #group;
  #bin;
  #password = randomBytes(24).toString('base64url');
  #synced;
  #synchronous;
  /** @type {Map<NodeNumber, import('./server-group.mjs').ServerProcess>} */
  #servers = new Map();

  /**
   * @param {object} [options]
   * @param {boolean} [options.synchronous] a commit waits until one standby has applied it: what was acknowledged
   *   survives the loss of the primary
   * @param {boolean} [options.synced] what was acknowledged is on the disk. Without, a power cut may lose it; the crash
   *   of a process does not
   */
  static async start({ synchronous = false, synced = false } = {}) {
    const trio = new PostgresTrio(synchronous, synced);
    try {
      await trio.#start();
      return trio;
    } catch (error) {
      await trio.close();
      throw error;
    }
  }

  /** Use {@link PostgresTrio.start}. */
  constructor(synchronous, synced) {
    this.#synchronous = synchronous ? { names: anyStandby, commit: 'remote_apply' } : { names: '', commit: 'on' };
    this.#synced = synced;
    this.#group = new ServerGroup('postgres-trio', ['postgres']);
  }

  async #start() {
    this.#bin = await postgresPrograms(this.#group.folder, this.#group.account);
    this.ports = await reservePorts(NODES.length);
    await this.#initialize();
    // Nobody may wait for standbys that are not there yet.
    const wanted = this.#synchronous;
    this.#synchronous = { names: '', commit: 'on' };
    await this.#launch(1);
    for (const node of [2, 3]) {
      await this.#clone(node);
      await this.#launch(node);
    }
    for (const node of [2, 3]) await this.#streams(node);
    await this.setSynchronous(wanted);
  }

  get urls() {
    return NODES.map((node) => this.url(node));
  }

  /** @param {NodeNumber} [node] of the primary, where none is named. It holds the password */
  url(node = this.primary) {
    return `postgres://postgres:${this.#password}@127.0.0.1:${this.ports[node - 1]}/postgres`;
  }

  /** Runs SQL on a node, on a connection of its own. @returns {Promise<any[]>} rows */
  async query(sql, { node = this.primary, parameters = [], timeout = 10_000 } = {}) {
    const client = new pg.Client({
      connectionString: this.url(node),
      connectionTimeoutMillis: timeout,
      query_timeout: timeout,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return (await client.query(sql, parameters)).rows;
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** A crash: all its processes are killed in the same moment. */
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

  /** @param {'smart' | 'fast' | 'immediate'} [mode] see pg_ctl */
  async stop(node, mode = 'fast') {
    await this.#servers.get(node)?.stop(SIGNALS[mode]);
  }

  /** Starts a node as what it was when it ended: an old primary thinks that it is one still. */
  async restart(node, mode = 'fast') {
    await this.stop(node, mode);
    await this.#launch(node);
  }

  /**
   * Makes a primary of a standby, and lets the other one follow. What the old primary does is not looked at: who promotes
   * has to have seen to it that nobody writes there.
   */
  async promote(node) {
    await this.query('SELECT pg_promote(true, 30)', { node, timeout: 30_000 });
    this.primary = node;
    for (const other of NODES) {
      if (other === node || !this.#isStandby(other)) continue;
      this.#writeSettings(other);
      if (this.#servers.get(other)?.isRunning) await this.query('SELECT pg_reload_conf()', { node: other });
    }
  }

  /**
   * Promotes the running standby that has received most: with `ANY 1` it is the only one that surely has all that was
   * acknowledged.
   * @returns {Promise<NodeNumber>} the new primary
   */
  async failover() {
    const standbys = NODES.filter((node) => this.#isStandby(node) && this.#servers.get(node)?.isRunning);
    const received = await Promise.all(
      standbys.map(async (node) => {
        const position = "coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn";
        const [{ bytes }] = await this.query(`SELECT ${position} AS bytes`, { node });
        return { node, bytes: BigInt(bytes) };
      }),
    );
    received.sort((a, b) => (a.bytes < b.bytes ? 1 : -1));
    if (received.length === 0) throw new Error('there is no standby to promote');
    await this.promote(received[0].node);
    return received[0].node;
  }

  /**
   * Brings a node that is down, or an old primary that is still up, back as a standby of the primary: by pg_rewind where
   * there is one, else as a fresh copy.
   */
  async rejoin(node) {
    if (node === this.primary) throw new Error(`node ${node} is the primary`);
    await this.stop(node, 'immediate');
    if (!this.#isStandby(node) && !(await this.#rewind(node))) await this.#clone(node);
    this.#becomeStandby(node);
    await this.#launch(node);
    if (await this.#streamsInTime(node, 5000)) return;
    // It has received what the primary never had.
    await this.stop(node, 'immediate');
    await this.#clone(node);
    await this.#launch(node);
    await this.#streams(node);
  }

  /**
   * @param {{ names: string, commit: 'off' | 'local' | 'on' | 'remote_write' | 'remote_apply' }} settings
   *   synchronous_standby_names and synchronous_commit of all nodes; the standbys are called n1, n2 and n3
   */
  async setSynchronous(settings) {
    this.#synchronous = settings;
    for (const node of NODES) {
      this.#writeSettings(node);
      if (this.#servers.get(node)?.isRunning) await this.query('SELECT pg_reload_conf()', { node });
    }
    // The server reads its files a moment after it was told to.
    const isSet = async () => (await this.query('SHOW synchronous_commit'))[0].synchronous_commit === settings.commit;
    await until(isSet, streamDeadline);
  }

  /** Each node in a line, for people. */
  async status() {
    const sql = `SELECT pg_is_in_recovery() AS standby, (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
      (SELECT string_agg(application_name || ' ' || state || ' ' || sync_state, ', ') FROM pg_stat_replication) AS standbys`;
    return Promise.all(
      NODES.map(async (node) => {
        try {
          const [row] = await this.query(sql, { node, timeout: 1000 });
          return `n${node}: ${row.standby ? 'standby' : 'primary'}${row.standbys ? ` of ${row.standbys}` : ''}`;
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

  #folderOf = (node) => join(this.#group.folder, `n${node}`);
  #dataOf = (node) => dataOf(this.#folderOf(node));
  #isStandby = (node) => fs.existsSync(join(this.#dataOf(node), 'standby.signal'));

  async #initialize() {
    const { folder } = this.#group;
    const password = join(folder, 'password');
    this.#group.writeFile(password, this.#password);
    this.#group.makeFolder('n1');
    const how = ['-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions', '--no-sync'];
    await this.#run('initdb', ['-D', this.#dataOf(1), '-U', 'postgres', `--pwfile=${password}`, ...how]);
    fs.appendFileSync(join(this.#dataOf(1), 'postgresql.conf'), SETTINGS + (this.#synced ? '' : DISPOSABLE));
  }

  async #launch(node) {
    const folder = this.#folderOf(node);
    const flags = ['-D', dataOf(folder), '-c', `port=${this.ports[node - 1]}`, '-c', `cluster_name=n${node}`];
    this.#writeSettings(node);
    const server = this.#group.spawn(`n${node}`, join(this.#bin, 'postgres'), flags);
    this.#servers.set(node, server);
    await server.ready(() => {
      const found = runningServer(folder);
      return found?.pid === server.pid && found.ready;
    });
  }

  /** What differs between the nodes, and changes. */
  #writeSettings(node) {
    const path = join(this.#dataOf(node), 'postgresql.auto.conf');
    if (!fs.existsSync(this.#dataOf(node))) return;
    const { names, commit } = this.#synchronous;
    const source = `host=127.0.0.1 port=${this.ports[this.primary - 1]} user=postgres password=${this.#password}`;
    this.#group.writeFile(
      path,
      `synchronous_standby_names = '${names}'\nsynchronous_commit = ${commit}\n` +
        `primary_conninfo = '${source} application_name=n${node}'\n`,
    );
  }

  #becomeStandby(node) {
    this.#group.writeFile(join(this.#dataOf(node), 'standby.signal'), '');
  }

  /** @returns {Promise<boolean>} whether it could be done */
  async #rewind(node) {
    if (!isProgram(join(this.#bin, 'pg_rewind'))) return false;
    // Until its first checkpoint the new primary's control file has the old timeline, and pg_rewind finds nothing to do.
    await this.query('CHECKPOINT', { timeout: 60_000 });
    const source = `host=127.0.0.1 port=${this.ports[this.primary - 1]} user=postgres dbname=postgres`;
    const flags = ['-D', this.#dataOf(node), `--source-server=${source}`, ...(this.#synced ? [] : ['--no-sync'])];
    try {
      await this.#run('pg_rewind', flags, { PGPASSWORD: this.#password });
      return true;
    } catch {
      return false;
    }
  }

  /** A copy of the primary while it works: what pg_basebackup does, which npm's package does not have. */
  async #clone(node) {
    const from = this.#dataOf(this.primary);
    const to = this.#dataOf(node);
    fs.rmSync(this.#folderOf(node), { recursive: true, force: true });
    this.#group.makeFolder(`n${node}`);
    const client = new pg.Client({ connectionString: this.url(), query_timeout: 120_000 });
    client.on('error', () => {});
    await client.connect();
    try {
      await client.query("SELECT pg_backup_start('clone', true)");
      await this.#copy(from, to);
      const { rows } = await client.query('SELECT labelfile FROM pg_backup_stop(false)');
      // The copy begins with whatever WAL the primary streams from the point in the label on.
      for (const name of ['postmaster.pid', 'postmaster.opts', 'pg_wal']) {
        fs.rmSync(join(to, name), { recursive: true, force: true });
      }
      for (const name of ['pg_wal', 'pg_wal/archive_status']) this.#group.makeFolder(`n${node}/data/${name}`);
      this.#group.writeFile(join(to, 'backup_label'), rows[0].labelfile);
      this.#becomeStandby(node);
      this.#writeSettings(node);
    } finally {
      await client.end().catch(() => {});
    }
  }

  async #copy(from, to) {
    try {
      await execute('cp', ['-a', from, to], { ...this.#group.account, cwd: this.#group.folder, env: serverEnv() });
    } catch (error) {
      // Files come and go while the primary works; which of them matter, the WAL says.
      const lines = String(error.stderr).trim().split('\n');
      if (!lines.every((line) => line.endsWith('No such file or directory'))) throw error;
    }
  }

  async #run(program, flags, env = {}) {
    await execute(join(this.#bin, program), flags, {
      ...this.#group.account,
      cwd: this.#group.folder,
      env: { ...serverEnv(), HOME: this.#group.folder, ...env },
    });
  }

  async #streams(node) {
    if (!(await this.#streamsInTime(node, streamDeadline))) {
      throw new Error(
        `node ${node} does not stream from node ${this.primary}\n${this.#running(node).output.slice(-4000)}`,
      );
    }
  }

  #streamsInTime(node, milliseconds) {
    const sql = "SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'";
    return until(async () => (await this.query(sql, { parameters: [`n${node}`] })).length > 0, milliseconds);
  }
}

const anyStandby = `ANY 1 (${NODES.map((node) => `n${node}`).join(', ')})`;
