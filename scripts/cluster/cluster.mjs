// The reference application as several processes over one database, behind a balancer, and what happens to processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Balancer } from './balancer.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Twice what the balancer takes to learn that a node is about to end, and more. */
const drainMilliseconds = 400;

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

export class ApplicationCluster {
  #balancer;
  #env;
  #platforms;
  /** @type {(ChildProcess | undefined)[]} */
  #nodes = [];
  /** @type {(line: string) => void} */
  #log;

  /**
   * @param {object} options
   * @param {string} options.databaseUrl the table of the sessions has to be there
   * @param {number} [options.count] of processes
   * @param {string[]} [options.platforms] of node 1, 2, …, again and again
   * @param {number} [options.port] of the balancer
   * @param {(line: string) => void} [options.log] is told what the nodes write
   */
  static async start({ databaseUrl, count = 3, platforms = ['express'], port, log = () => {} }) {
    const cluster = new ApplicationCluster(databaseUrl, platforms, log);
    cluster.#balancer = await Balancer.start(port);
    try {
      await Promise.all(Array.from({ length: count }, (_, index) => cluster.startNode(index + 1)));
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Use {@link ApplicationCluster.start}. */
  constructor(databaseUrl, platforms, log) {
    this.#env = { ...process.env, DATABASE_URL: databaseUrl, PORT: '0', DRAIN_MS: String(drainMilliseconds) };
    this.#platforms = platforms;
    this.#log = log;
  }

  /** The one address. */
  get url() {
    return this.#balancer.url;
  }

  /** How many requests each node was given since it was started. */
  get served() {
    return this.#balancer.served;
  }

  async startNode(number) {
    if (this.isRunning(number)) throw new Error(`node ${number} is running`);
    const name = `node ${number}`;
    const platform = this.#platforms[(number - 1) % this.#platforms.length];
    const child = spawn(process.execPath, ['--import', './scripts/exit-with-parent.mjs', 'dist/src/main.js'], {
      cwd: root,
      // PGAPPNAME: the database's list of connections says whose they are.
      env: { ...this.#env, NODE_NAME: name, PGAPPNAME: name, PLATFORM: platform },
      // Out of our process group: a Ctrl-C reaches it through us.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#nodes[number - 1] = child;
    this.#balancer.add(name, await this.#listening(name, child));
  }

  isRunning(number) {
    const node = this.#nodes[number - 1];
    return node !== undefined && node.exitCode === null && node.signalCode === null;
  }

  /** A crash: what it has under way gets no answer. */
  async killNode(number) {
    await this.#end(number, 'SIGKILL');
  }

  /** It finishes what it has under way. @returns {Promise<number>} milliseconds that it took */
  async stopNode(number) {
    const begun = performance.now();
    await this.#end(number, 'SIGTERM');
    return Math.round(performance.now() - begun);
  }

  /** Stops and starts one node after the other, as a deployment of a new version does. */
  async rollingRestart() {
    for (let number = 1; number <= this.#nodes.length; number++) {
      if (this.isRunning(number)) await this.stopNode(number);
      await this.startNode(number);
    }
  }

  async close() {
    await Promise.all(this.#nodes.map((_node, index) => this.killNode(index + 1)));
    await this.#balancer.close();
  }

  async #end(number, signal) {
    if (!this.isRunning(number)) return;
    const node = this.#nodes[number - 1];
    const exited = once(node, 'exit');
    node.kill(signal);
    await exited;
  }

  async #listening(name, child) {
    const lines = createInterface({ input: child.stdout });
    createInterface({ input: child.stderr }).on('line', (line) => this.#log(`${name}: ${line}`));
    const url = new Promise((resolve) => {
      lines.on('line', (line) => {
        const [, found] = /listening on (http:\S+)/.exec(line) ?? [];
        if (found) resolve(found);
        this.#log(`${name}: ${line}`);
      });
    });
    const failed = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${name} ended with ${code ?? signal} before it listened`);
    });
    failed.catch(() => {});
    return Promise.race([url, failed]);
  }
}

/** Creates the application's tables. */
export async function migrate(databaseUrl) {
  const command = ['node_modules/typeorm/cli.js', 'migration:run', '-d', 'dist/ormconfig.js'];
  const child = spawn(process.execPath, command, {
    cwd: root,
    env: { ...process.env, DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => output.push(text));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the migrations failed\n${output.join('')}`);
}
