// Starts the process of a database server and waits until it accepts connections.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { isAlive, until } from './process.mjs';

const startDeadline = 60_000;

/** Messages in English, whatever the machine speaks. */
export const serverEnv = () => ({ ...process.env, LC_ALL: 'C' });

/**
 * @param {object} server
 * @param {string} server.program
 * @param {(port: number) => string[]} server.flags
 * @param {string} server.folder where its server.log goes
 * @param {{ uid?: number, gid?: number }} server.account that it runs as
 * @param {NodeJS.ProcessEnv} [server.env]
 * @param {number} [server.port] without, a free one is taken
 * @param {string} server.portTaken what it says when the port is not free
 * @param {(pid: number) => boolean | Promise<boolean>} server.isReady
 * @returns {Promise<{ pid: number, port: number }>}
 */
export async function launch(server) {
  for (let attempt = 1; ; attempt++) {
    const port = server.port ?? (await freePort());
    try {
      return { pid: await launchOn(port, server), port };
    } catch (error) {
      // A free port is only free until somebody else takes it.
      if (server.port !== undefined || !error.message.includes(server.portTaken) || attempt === 3) throw error;
    }
  }
}

async function launchOn(port, { program, flags, folder, account, env = serverEnv(), isReady }) {
  const log = join(folder, 'server.log');
  const output = fs.openSync(log, 'a', 0o600);
  const logStart = fs.fstatSync(output).size;
  const tail = () => fs.readFileSync(log).subarray(logStart).toString();
  const server = spawn(program, flags(port), {
    ...account,
    env,
    cwd: folder,
    // Users that come later need it when we are gone.
    detached: true,
    stdio: ['ignore', output, output],
  });
  fs.closeSync(output);
  server.unref();
  let failure;
  server.once('error', (error) => (failure = error.message));
  server.once('exit', (code) => (failure = `the server exited with ${code}\n${tail()}`));
  let ready = false;
  await until(async () => failure || (ready = await isReady(server.pid)), startDeadline);
  if (ready && isAlive(server.pid)) return server.pid;
  server.kill('SIGKILL');
  throw new Error(failure ?? `the server does not get ready\n${tail()}`);
}

async function freePort() {
  const server = createServer();
  await new Promise((ready, failed) => server.once('error', failed).listen(0, '127.0.0.1', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}
