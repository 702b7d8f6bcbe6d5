import { createApp } from './app.js';
import { readPlatform } from './platform.js';

try {
  const platform = readPlatform();
  const port = readPort();
  const app = await createApp(platform);
  app.enableShutdownHooks();
  // Reachable from this machine alone, unless HOST says otherwise (0.0.0.0 in a container).
  await app.listen(port, process.env.HOST ?? '127.0.0.1');
  console.log(`listening on ${await app.getUrl()} (${platform})`);
} catch (error) {
  console.error(`The shop could not start: ${sentence(error)}`);
  // Not only the exit code: an open connection pool would keep the process alive.
  process.exit(1);
}

function readPort(): number {
  const text = process.env.PORT ?? '3000';
  const port = Number(text);
  if (text.trim() === '' || !Number.isInteger(port) || port < 0 || port > 65535) {
    throw new Error(`PORT is "${text}"; it must be a number from 0 to 65535 (0 picks a free one).`);
  }
  return port;
}

function sentence(error: unknown): string {
  // Node reports a refused connection to a name with several addresses as one error without a message.
  if (error instanceof AggregateError && !error.message) return error.errors.map(sentence).join('; ');
  return error instanceof Error ? error.message : String(error);
}
