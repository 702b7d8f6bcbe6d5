// The processes of the application, with somebody who starts them again, and a balancer that sends requests to any of
// them: it leaves out those that are shutting down, and those that have not answered it for a second.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { portOf } from '../race/nodes.mjs';

const main = fileURLToPath(new URL('node/main.mjs', import.meta.url));
const SHUTDOWN_DEADLINE = 10_000;
/** How long a balancer takes to notice that a process hangs. */
const NOTICED_AFTER = 1000;

export class Fleet {
  /** @type {Member[]} */
  members;
  /** What nobody ordered. */
  unexpectedExits = [];

  static async start(count, options) {
    const fleet = new Fleet();
    fleet.members = Array.from({ length: count }, (_, index) => new Member(index + 1, options, fleet));
    try {
      await Promise.all(fleet.members.map((member) => member.start()));
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  /** Those that requests may go to; a process that was killed among them, until it is noticed by being refused. */
  get reachable() {
    const up = this.members.filter(({ port, isOut }) => port !== undefined && !isOut);
    return up.length > 0 ? up : this.members.filter(({ port }) => port !== undefined);
  }

  async stop() {
    await Promise.all(this.members.map((member) => member.end()));
  }
}

export class Member {
  index;
  /** @type {number | undefined} */ port;
  isOut = false;
  restarts = 0;
  /** Moments between which it could not answer, whatever its library does. */
  frozen = [];
  #options;
  #fleet;
  #process;
  #isExpectedToEnd = false;
  #output = '';
  #asked = 0;

  constructor(index, options, fleet) {
    this.index = index;
    this.#options = options;
    this.#fleet = fleet;
  }

  get pid() {
    return this.#process.pid;
  }

  get isRunning() {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** @param {NodeJS.ProcessEnv} [env] */
  async start(env = {}) {
    const child = fork(main, [JSON.stringify(this.#options)], {
      env: { ...process.env, NODE_ENV: 'development', ...env },
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process = child;
    this.#isExpectedToEnd = false;
    this.#output = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (this.#output = (this.#output + text).slice(-4000)));
    child.once('exit', (code, signal) => {
      if (this.#isExpectedToEnd) return;
      this.#fleet.unexpectedExits.push(`process ${this.index} ended with ${code ?? signal}: ${this.#output}`);
    });
    this.port = await portOf(child);
    this.isOut = false;
  }

  /** As a machine dies. */
  async kill() {
    const { pid } = this;
    await this.#endBy('SIGKILL');
    return pid;
  }

  /** As its supervisor does. */
  async restart(env) {
    this.restarts += 1;
    await this.start(env);
  }

  freeze() {
    this.#process.kill('SIGSTOP');
    this.frozen.push({ begin: performance.now(), end: Infinity });
    setTimeout(() => (this.isOut ||= this.frozen.at(-1).end === Infinity), NOTICED_AFTER).unref();
  }

  async thaw() {
    this.#process.kill('SIGCONT');
    await this.ask();
    this.frozen.at(-1).end = performance.now();
    this.isOut = false;
  }

  /** As a deployment does: no new requests, then SIGTERM, then the next version. @returns {Promise<number>} milliseconds */
  async roll(env) {
    this.isOut = true;
    await sleep(100);
    const begin = performance.now();
    const isInTime = await this.#endBy('SIGTERM', SHUTDOWN_DEADLINE);
    if (!isInTime) this.#fleet.unexpectedExits.push(`process ${this.index} did not end after SIGTERM: ${this.#output}`);
    const took = performance.now() - begin;
    await this.restart(env);
    return took;
  }

  /** @returns {Promise<{ rss: number, heapUsed: number, clock: number, pool?: { busy: number, waiting: number } }>} how it is */
  async ask() {
    const id = ++this.#asked;
    const child = this.#process;
    // One that was killed just now gets it no more.
    child.send({ ask: id }, () => {});
    for (;;) {
      const [message] = await once(child, 'message');
      if (message.answer === id) return message;
    }
  }

  async end() {
    if (this.isRunning) await this.#endBy('SIGKILL');
  }

  /** @returns {Promise<boolean>} whether it ended by this signal in time */
  async #endBy(signal, milliseconds = 5000) {
    this.#isExpectedToEnd = true;
    const child = this.#process;
    const exited = once(child, 'exit').then(() => true);
    child.kill(signal);
    const isInTime = await Promise.race([exited, sleep(milliseconds, false)]);
    if (!isInTime) {
      child.kill('SIGKILL');
      await exited;
    }
    return isInTime;
  }
}
