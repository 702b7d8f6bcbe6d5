// A table of one size, an application over it, and visitors.
import pg from 'pg';
import { treeMicros } from '../bench/cpu.mjs';
import { startChild } from '../bench/rpc.mjs';
import { fill, sizesOf } from './fill.mjs';

export const CONNECTIONS = 64;
/** Of a clean-up, or of everybody's first look. */
const PATIENCE = 900_000;
export const MODULE_OPTIONS = { guardAll: true, cookie: { secure: false }, cleanup: false };

export class Site {
  /**
   * @param {string} name of the database, which is made
   * @param {import('./fill.mjs').Filling} filling
   * @param {{ visitors: number, database: any, generator: any }} around
   */
  static async start(name, filling, { visitors, database, generator }) {
    const begin = performance.now();
    const url = await database.create(name);
    const server = startChild(`the application of ${name}`, new URL('server.mjs', import.meta.url), {
      options: MODULE_OPTIONS,
      url,
    });
    try {
      // It has run the migration by then.
      const { port } = await server.hello;
      const client = new pg.Client({ connectionString: url });
      // The server is stopped where something else went wrong, and with it this connection.
      client.on('error', () => {});
      await client.connect();
      await fill(client, filling);
      const size = Math.min(visitors, filling.live);
      await generator.ask({ verb: 'crowd', crowd: name, size, sessions: filling.live, seed: filling.seed });
      const site = new Site({ name, server, port, client, database, generator, visitors: size });
      site.sizes = await sizesOf(client);
      const seconds = Math.round((performance.now() - begin) / 1000);
      console.log(`${name}: filled in ${seconds} s, ${JSON.stringify(site.sizes)}`);
      return site;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  open = ({ connections }) => this.generator.ask({ verb: 'open', port: this.port, connections });
  run = ({ scenario }, end) => this.generator.ask({ verb: 'run', crowd: this.name, scenario, ...end }, PATIENCE);
  begin = () => this.generator.ask({ verb: 'begin', crowd: this.name });
  end = () => this.generator.ask({ verb: 'end' });
  close = () => this.generator.ask({ verb: 'close' });
  cleanUp = () => this.server.ask({ verb: 'cleanUp' }, PATIENCE);

  /** CPU microseconds so far. */
  async spent() {
    const { user, system } = await this.server.ask({ verb: 'spent' });
    return { app: user + system, database: treeMicros(this.database.pid) };
  }

  async stop() {
    await this.server.stop();
    await this.client.end();
  }

  /** And gives its space on the disk back. */
  async drop() {
    await this.stop();
    await this.database.drop(this.name);
  }
}
