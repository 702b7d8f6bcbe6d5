import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Server {
  readonly url: string;
  readonly pid: number;
  /** Where the cluster is: below it, `data/`. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** A PostgreSQL that a test may stop, since no other test uses it. It keeps its data and its port over a restart. */
export class OwnPostgres {
  #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<OwnPostgres> {
    return new OwnPostgres(await startServer({ folder: join(tmpdir(), `session-own-${randomUUID()}`) }));
  }

  get url(): string {
    return this.#server.url;
  }

  get dataFolder(): string {
    return join(this.#server.folder, 'data');
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.#server.pid, signal);
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** After it was stopped or has stopped by a signal. */
  async startAgain(): Promise<void> {
    const { folder, url } = this.#server;
    await this.#server.stop();
    this.#server = await startServer({ folder, port: Number(new URL(url).port) });
  }

  async remove(): Promise<void> {
    await this.#server.stop();
    rmSync(this.#server.folder, { recursive: true, force: true });
  }
}

async function startServer(options: { folder: string; port?: number }): Promise<Server> {
  const path = new URL('../../scripts/postgres.mjs', import.meta.url).href;
  const { startPostgres } = (await import(path)) as { startPostgres(options: object): Promise<Server> };
  return startPostgres(options);
}
