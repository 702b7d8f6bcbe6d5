// The servers of one platform, each with a database of its own, and their visitors.
import { join } from 'node:path';
import { startChild } from './rpc.mjs';
import { treeMicros } from './cpu.mjs';

const main = new URL('server/main.mjs', import.meta.url);

/**
 * Those who take turns have pauses as no server under load has. In one of eight seconds V8 gives back memory and compiled
 * code, and a server of which it has done so before its first request stays slower by a sixth from then on: whoever is
 * started last. See docs/decisions/019-servers-that-wait-for-their-turn.md.
 */
export const SERVER_FLAGS = ['--no-memory-reducer'];

/** Connections and requests that nobody measures. */
const PREPARE = { connections: 32 };

export class Contestant {
  /** @param {{ server: number }} surroundings which of the variant's servers it is */
  static async start(platform, variant, { databases, generator, profile, server: number }) {
    const database = databases[variant.database];
    const name = `${platform}_${variant.name}_${number}`.replaceAll(/\W+/g, '_');
    const url = await database?.create(name);
    const profileFile = profile && join(profile, `${name}.cpuprofile`);
    const options = { platform, variant, url, profileFile };
    const server = startChild(`${variant.name} on ${platform}`, main, options, SERVER_FLAGS);
    const { port } = await server.hello;
    return new Contestant({ platform, variant, database, name, server, port, generator });
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** Signs in as many visitors as there are sessions of this size, over the same door that everybody comes by. */
  async welcome({ sessions, kilobytes }, seed) {
    const crowd = this.#crowd({ sessions, kilobytes });
    const keeps = this.variant.database !== undefined;
    await this.generator.ask({ verb: 'crowd', crowd, size: sessions, kilobytes, seed: `${seed} ${crowd}`, keeps });
    if (!keeps) return [];
    const wrong = await this.#aside({ sessions, kilobytes, does: 'arrive' });
    await this.database.analyze?.(this.name);
    return wrong;
  }

  /** All that has been written is read. */
  readBack(row) {
    if (this.variant.database === undefined) return [];
    return this.#aside({ ...row, does: 'read back' });
  }

  async #aside(row) {
    await this.open(PREPARE);
    const { wrong, samples } = await this.run(row, {});
    await this.close();
    return complaints(row.does, wrong, samples);
  }

  open({ connections }) {
    return this.generator.ask({ verb: 'open', port: this.port, connections });
  }

  run(row, end) {
    return this.generator.ask({ verb: 'run', crowd: this.#crowd(row), scenario: row.does, ...end }, 900_000);
  }

  close() {
    return this.generator.ask({ verb: 'close' });
  }

  /** CPU microseconds so far; `system` is the part of the application that the kernel works for it. */
  async spent() {
    const { user, system } = await this.server.ask({});
    return { app: user + system, system, database: this.database ? treeMicros(this.database.pid) : 0 };
  }

  #crowd = ({ sessions, kilobytes }) => `${this.name} ${sessions} ${kilobytes}`;
}

/** @returns {string[]} */
export function complaints(where, wrong, samples) {
  return wrong > 0 ? [`${where}: ${wrong} wrong, such as: ${samples.join(' | ')}`] : [];
}
