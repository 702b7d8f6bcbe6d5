// Preloaded into the application by start.mjs. Where start.mjs is killed with SIGKILL it can forward no signal, but the
// channel to it closes: then the application shuts down as on SIGTERM, and does not keep the port.
if (process.channel) {
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), 10_000).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  // The channel alone is no reason to stay alive.
  process.channel.unref();
}
