// Ends what a ServerGroup has started when the process that holds the other end of our stdin lets go of it, in whatever
// way, and removes the folder. Lines come in: `+PID` of a server that runs, `-PID` of one that has ended.
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { killTree } from './process-tree.mjs';

const [folder] = process.argv.slice(2);
const running = new Set();
// Whoever started us decides when it ends, by closing the pipe.
for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM']) process.on(signal, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const pid = Number(line.slice(1));
  if (line.startsWith('+')) running.add(pid);
  else running.delete(pid);
}
await Promise.all([...running].map(killTree));
rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
