// The servers of an engine. They are children of this very process, so that one which was killed is gone at once and can
// start again, and they do not outlive it (reaper.mjs). All they have is in one temporary folder.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { give, publicTmp, serverAccount } from '../server/account.mjs';
import { serverEnv } from '../server/launch.mjs';
import { until } from '../server/process.mjs';
import { killTree, signalTree } from './process-tree.mjs';

const startDeadline = 60_000;
const stopDeadline = 30_000;

export class ServerGroup {
  /** @type {string} */ folder;
  /** @type {{ uid?: number, gid?: number }} the account that the servers run as: ours, unless that is root */
  account;
  #reaper;

  /**
   * @param {string} name of the engine, for the folder
   * @param {string[]} accounts that servers run as where we are root, the best first
   */
  constructor(name, accounts) {
    this.account = serverAccount([...accounts, 'nobody']);
    this.folder = fs.mkdtempSync(join(publicTmp(this.account), `session-${name}-`));
    give(this.folder, this.account);
    this.#reaper = spawn(process.execPath, [fileURLToPath(new URL('reaper.mjs', import.meta.url)), this.folder], {
      // Out of our process group: a Ctrl-C in the terminal is for us, who need the servers until we have shut down.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.#reaper.stdin.on('error', () => {});
    for (const handle of [this.#reaper, this.#reaper.stdin]) handle.unref();
  }

  /** Makes a folder for the account, below that of the group. */
  makeFolder(name) {
    const folder = join(this.folder, name);
    fs.mkdirSync(folder, { mode: 0o700, recursive: true });
    give(folder, this.account);
    return folder;
  }

  /** Writes a file that the account alone can read: some hold passwords. */
  writeFile(path, text, mode = 0o600) {
    fs.writeFileSync(path, text, { mode });
    give(path, this.account);
  }

  /**
   * @param {string} name of the server, for its log
   * @param {string} program
   * @param {string[]} flags
   * @param {NodeJS.ProcessEnv} [env]
   */
  spawn(name, program, flags, env = {}) {
    const path = join(this.folder, `${name}.log`);
    const log = fs.openSync(path, 'a', 0o600);
    const child = spawn(program, flags, {
      ...this.account,
      cwd: this.folder,
      // The account may not be able to enter our own temporary folder.
      env: { ...serverEnv(), HOME: this.folder, TMPDIR: this.folder, ...env },
      detached: true,
      stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    child.unref();
    const server = new ServerProcess(child, path);
    if (child.pid !== undefined) {
      this.#reaper.stdin.write(`+${child.pid}\n`);
      child.once('exit', () => this.#reaper.stdin.writable && this.#reaper.stdin.write(`-${child.pid}\n`));
    }
    return server;
  }

  /** Kills what still runs and removes the folder. */
  async close() {
    const { exitCode, signalCode } = this.#reaper;
    if (exitCode !== null || signalCode !== null) return;
    this.#reaper.ref();
    const exited = once(this.#reaper, 'exit');
    this.#reaper.stdin.end();
    await exited;
  }
}

export class ServerProcess {
  #child;
  #log;
  #logStart;
  #ended;
  #exited;

  constructor(child, log) {
    this.#child = child;
    this.#log = log;
    this.#logStart = fs.statSync(log).size;
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => resolve((this.#ended = error.message)));
      child.once('exit', (code, signal) => resolve((this.#ended = `it ended with ${code ?? signal}`)));
    });
  }

  get pid() {
    return this.#child.pid;
  }

  get isRunning() {
    return this.#ended === undefined;
  }

  /** Settles when it has ended. */
  get exited() {
    this.#child.ref();
    return this.#exited;
  }

  /** What it has written since it was started. */
  get output() {
    return fs.readFileSync(this.#log).subarray(this.#logStart).toString();
  }

  /** Waits until the server says that it can be used. Where it does not, it is killed. */
  async ready(isReady) {
    let ready = false;
    await until(async () => !this.isRunning || (ready = await isReady()), startDeadline);
    if (ready && this.isRunning) return this;
    const reason = this.#ended ?? 'it does not get ready';
    await this.kill();
    throw new Error(`${reason}\n${this.output.slice(-4000)}`);
  }

  /** As a machine dies: the server and all that it has started, in the same moment. */
  async kill() {
    if (!this.isRunning) return;
    const { exited } = this;
    await killTree(this.pid);
    await exited;
  }

  /** Asks it to end and waits until it has. */
  async stop(signal) {
    if (!this.isRunning) return;
    this.#child.kill(signal);
    await Promise.race([this.exited, until(() => !this.isRunning, stopDeadline)]);
    if (this.isRunning) await this.kill();
  }

  /** It keeps its connections and answers nothing, as a machine that hangs or that the network has cut off. */
  freeze() {
    signalTree(this.pid, 'SIGSTOP');
  }

  thaw() {
    signalTree(this.pid, 'SIGCONT');
  }
}

const firstPort = 12_000;
const lastPort = 32_000;

/**
 * Ports that are free and stay ours while a server is down for a while: below those that connections are given by
 * themselves (from 32768 on in Linux), one of which could have taken it when the server comes back.
 */
export async function reservePorts(count) {
  const ports = new Set();
  while (ports.size < count) {
    const port = firstPort + Math.floor(Math.random() * (lastPort - firstPort));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
