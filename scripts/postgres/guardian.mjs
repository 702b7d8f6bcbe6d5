// Runs a PostgreSQL on behalf of the process that holds the other end of our stdin. See ../postgres.mjs.
import { joinCluster, startTemporaryCluster } from './cluster.mjs';

const { folder, port } = JSON.parse(process.argv[2]);

const released = new Promise((resolve) => {
  process.stdin.once('close', resolve).resume();
  process.once('SIGTERM', resolve);
});
// Whoever started us decides when it ends, by closing the pipe.
for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
// Nobody may be left to read our report.
process.stdout.on('error', () => {});

const report = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

try {
  const cluster = folder ? await joinCluster(folder, { port }) : await startTemporaryCluster({ port });
  report({ url: cluster.url, pid: cluster.pid, folder: cluster.folder });
  await released;
  await cluster.leave();
} catch (error) {
  report({ error: error.message });
  process.exitCode = 1;
}
// The pipe may still be open, when it was SIGTERM that released us.
process.stdin.destroy();
