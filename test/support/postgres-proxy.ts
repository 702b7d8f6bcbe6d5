import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * Stands between an application and its PostgreSQL: counts the statements that pass on the wire, and fails as networks do.
 * What it counts is what the server got, whatever the application's libraries say they sent.
 */
export interface PostgresProxy {
  /** The database's URL through the proxy. */
  readonly url: string;
  /** SQL of the statements that passed since the last {@link reset}. */
  readonly statements: readonly string[];
  /** The statements of sessions alone. */
  readonly sessionStatements: readonly string[];
  reset(): void;
  /** `pass` forwards; `refuse` closes every connection, old and new; `silence` takes everything and answers nothing. */
  mode: 'pass' | 'refuse' | 'silence';
  /** Called before a statement is forwarded; the connection waits for it. */
  beforeStatement: ((sql: string) => Promise<void> | void) | undefined;
  /** `true` cuts the connection after the server has worked, in place of its answer. */
  dropAnswerTo: ((sql: string) => boolean) | undefined;
  /** `true` silences the connection for good, as `silence` does with all: the statement does not arrive. */
  mute: ((sql: string) => boolean) | undefined;
  close(): Promise<void>;
}

/** @param meaningOf what a statement stands for, to be told in place of it. Default: itself. */
export async function startPostgresProxy(
  databaseUrl: string,
  meaningOf: (sql: string) => string = (sql) => sql,
): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const statements: string[] = [];
  let mode: PostgresProxy['mode'] = 'pass';

  const server = createServer((client) => {
    track(client);
    if (mode === 'refuse') return void client.destroy();
    const upstream = track(connect(Number(target.port), target.hostname));
    let dropAnswer = false;
    // What was swallowed is missing for good: a connection that has been silent stays so.
    let isMute = false;
    let pending = Buffer.alloc(0);
    let isStarted = false;
    let queue = Promise.resolve();

    const forward = async (chunk: Buffer) => {
      const found: string[] = [];
      pending = Buffer.concat([pending, chunk]);
      for (let message = next(); message; message = next()) found.push(...sqlOf(message).map(meaningOf));
      statements.push(...found);
      for (const sql of found) {
        await proxy.beforeStatement?.(sql);
        dropAnswer ||= proxy.dropAnswerTo?.(sql) ?? false;
        isMute ||= proxy.mute?.(sql) ?? false;
      }
      isMute ||= mode === 'silence';
      if (!isMute) upstream.write(chunk);
    };
    /** One frontend message: the first has no type byte (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
    const next = (): Buffer | undefined => {
      const lengthAt = isStarted ? 1 : 0;
      if (pending.length < lengthAt + 4) return undefined;
      const length = lengthAt + pending.readInt32BE(lengthAt);
      if (pending.length < length) return undefined;
      const message = isStarted ? pending.subarray(0, length) : Buffer.alloc(0);
      pending = pending.subarray(length);
      isStarted = true;
      return message;
    };

    client.on('data', (chunk) => {
      queue = queue.then(() => forward(chunk)).catch(() => undefined);
    });
    upstream.on('data', (chunk) => {
      isMute ||= mode === 'silence';
      if (isMute) return;
      if (dropAnswer) return void client.destroy();
      client.write(chunk);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });

  function track(socket: Socket): Socket {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);

  const proxy: PostgresProxy = {
    url: url.href,
    statements,
    get sessionStatements() {
      return statements.filter((sql) => sql.includes('sessions'));
    },
    reset: () => void statements.splice(0),
    get mode() {
      return mode;
    },
    set mode(wanted) {
      mode = wanted;
      if (wanted === 'refuse') for (const socket of sockets) socket.destroy();
    },
    beforeStatement: undefined,
    dropAnswerTo: undefined,
    mute: undefined,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

/** The SQL of a Parse or a Query message. */
function sqlOf(message: Buffer): string[] {
  const type = String.fromCharCode(message[0] ?? 0);
  if (type === 'Q') return [message.toString('utf8', 5, message.indexOf(0, 5))];
  if (type !== 'P') return [];
  const from = message.indexOf(0, 5) + 1;
  return [message.toString('utf8', from, message.indexOf(0, from))];
}
