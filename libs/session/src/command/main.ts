#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { SessionConfigError, SessionStoreError } from '../core/errors.js';
import { cleanUp } from './cleanup.js';
import { CommandError } from './command-error.js';

const HELP = `Usage: nestjs-typeorm-session cleanup --data-source <file> [options]

Deletes the sessions that have expired, once, and says how many. For where no process of the application lives long
enough to do it on a schedule. Any number of them may run at once, beside any number of nodes.

  -d, --data-source <file>  a JavaScript file that exports a TypeORM DataSource, as for the TypeORM CLI
      --entity <name>       the session entity, where the data source has several
      --batch-size <rows>   rows per DELETE, 1 to 100000 (default 1000)
      --deadline <time>     for each DELETE, the wait for a connection included (default 10s)
  -h, --help                this text

Exit code: 0 when all that had expired is deleted, 1 when something failed.
`;

const OPTIONS = {
  'data-source': { type: 'string', short: 'd' },
  entity: { type: 'string' },
  'batch-size': { type: 'string', default: '1000' },
  deadline: { type: 'string', default: '10s' },
  help: { type: 'boolean', short: 'h' },
} as const;

try {
  await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${sentence(error)}\n`);
  // Not only the exit code: an application's file may have opened what keeps the process alive.
  process.exit(1);
}

async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  if (values.help) return void process.stdout.write(HELP);
  const [command, ...rest] = positionals;
  if (command !== 'cleanup' || rest.length > 0) {
    throw new CommandError(
      command
        ? `There is no command "${positionals.join(' ')}", only cleanup. --help tells more.`
        : 'Name a command: nestjs-typeorm-session cleanup. --help tells more.',
    );
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const { deleted, done } = await cleanUp(
    {
      file: values['data-source'],
      entity: values.entity,
      batchSize: values['batch-size'],
      deadline: values.deadline,
      warn: (text) => void process.stderr.write(`${text}\n`),
    },
    stop.signal,
  );
  process.stdout.write(`${deleted} expired ${deleted === 1 ? 'session' : 'sessions'} deleted.\n`);
  if (!done) throw new CommandError('It was stopped before all were deleted. The next run deletes the rest.');
  process.exit(0);
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new CommandError(`${(error as Error).message}. --help tells more.`);
  }
}

/** Ours are sentences; of others the message alone, since driver errors print parameters. */
function sentence(error: unknown): string {
  if (error instanceof SessionStoreError) {
    return `The clean-up failed (${error.reason}): the database cannot be reached or written to. What was deleted before stays deleted.`;
  }
  if (error instanceof CommandError || error instanceof SessionConfigError) return error.message;
  // Node reports a refused connection to a name with several addresses as one error without a message.
  if (error instanceof AggregateError && !error.message) return error.errors.map(sentence).join('; ');
  return error instanceof Error ? error.message : String(error);
}
