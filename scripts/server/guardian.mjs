// Runs a database server on behalf of the process that holds the other end of our stdin. See start-guarded.mjs.

/**
 * @param {(options: object) => Promise<{ url: string, pid: number, folder: string, leave(): Promise<void> }>} start
 */
export async function runGuardian(start) {
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
    const { leave, ...server } = await start(JSON.parse(process.argv[2]));
    report(server);
    await released;
    await leave();
  } catch (error) {
    report({ error: error.message });
    process.exitCode = 1;
  }
  // The pipe may still be open, when it was SIGTERM that released us.
  process.stdin.destroy();
}
