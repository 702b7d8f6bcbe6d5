// Between the application and its database, a network that fails: a process of its own (proxy/main.mjs), so that it is
// not late because we are busy.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** @typedef {'pass' | 'delay' | 'refuse' | 'partition' | 'silence'} Mode see proxy/main.mjs */

export class Proxy {
  #process;
  #target;
  port;

  /** @param {string} url of the database */
  static async start(url) {
    const proxy = new Proxy();
    proxy.#target = new URL(url);
    proxy.#process = fork(fileURLToPath(new URL('proxy/main.mjs', import.meta.url)));
    proxy.#process.send({ host: proxy.#target.hostname, port: Number(proxy.#target.port) });
    const [{ port }] = await once(proxy.#process, 'message');
    proxy.port = port;
    return proxy;
  }

  get url() {
    const url = new URL(this.#target);
    url.port = String(this.port);
    return url.href;
  }

  /** @param {Mode} mode @returns {Promise<number>} how many connections it concerned */
  async set(mode, options = {}) {
    this.#process.send({ mode, ...options });
    const [{ connections }] = await once(this.#process, 'message');
    return connections;
  }

  async stop() {
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}
