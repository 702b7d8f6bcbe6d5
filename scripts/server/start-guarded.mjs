// A database server must not outlive us, not even when we are killed with SIGKILL and can clean up nothing. So a small
// detached process, the guardian, runs it for us. It holds the other end of a pipe, and when the pipe closes, for
// whatever reason, it lets go of the server.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * @param {string} name of the server, for messages
 * @param {URL} guardian the module to run; it hands its work to `runGuardian` of ./guardian.mjs
 * @param {object} options for the guardian, as JSON can carry them
 * @returns {Promise<{ url: string, pid: number, folder: string, stop(): Promise<void> }>}
 */
export async function startGuarded(name, guardian, options) {
  const child = spawn(process.execPath, [fileURLToPath(guardian), JSON.stringify(options)], {
    // Out of our process group: the terminal's Ctrl-C is for the application, which needs the database until it has
    // shut down.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    // NODE_OPTIONS may hold an --inspect port or a loader that is meant for us alone.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(child, 'exit');
  const { error, ...server } = await firstReport(child);
  if (error) {
    await exited;
    throw new Error(`${name} did not start: ${error}`);
  }
  for (const handle of [child, child.stdin, child.stdout, child.stderr]) handle.unref();
  return {
    ...server,
    async stop() {
      child.ref();
      child.stdin.end();
      await exited;
    },
  };
}

/** The one line that the guardian writes; when it dies without, what it left on stderr. */
async function firstReport(guardian) {
  let complaint = '';
  guardian.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
  for await (const line of createInterface({ input: guardian.stdout })) return JSON.parse(line);
  return { error: complaint || 'its guardian process died without a word' };
}
