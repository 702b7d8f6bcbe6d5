// A small HTTP balancer without stickiness: each request goes to the next node, whoever sends it. What cannot be connected
// to is tried at another node, since it has not got the request. Nothing else is ever sent twice.
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';

const pause = 100;
const connectDeadline = 1000;
/** Of one connection; they would be meant for the node and not for the client, or the other way round. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'upgrade'];

/** @typedef {{ name: string, url: URL, isReady: boolean, served: number }} Target */

export class Balancer {
  /** @type {Target[]} */
  #targets = [];
  #turn = 0;
  #server;
  #timer;

  /** @param {number} [port] without, a free one is taken */
  static async start(port = 0) {
    const balancer = new Balancer();
    await balancer.#listen(port);
    return balancer;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** How many requests each node was given. @returns {Record<string, number>} */
  get served() {
    return Object.fromEntries(this.#targets.map(({ name, served }) => [name, served]));
  }

  add(name, url) {
    this.remove(name);
    this.#targets.push({ name, url: new URL(url), isReady: true, served: 0 });
  }

  remove(name) {
    this.#targets = this.#targets.filter((target) => target.name !== name);
  }

  async close() {
    clearInterval(this.#timer);
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #listen(port) {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    await new Promise((ready, failed) => this.#server.once('error', failed).listen(port, '127.0.0.1', ready));
    this.#timer = setInterval(() => this.#targets.forEach((target) => void look(target)), pause);
    this.#timer.unref();
  }

  async #serve(request, response) {
    const tried = new Set();
    for (;;) {
      const target = this.#next(tried);
      if (!target) return fail(response, 503, 'No node can be reached.');
      tried.add(target);
      try {
        const socket = await connected(target.url);
        target.served += 1;
        return forward(request, response, target, socket);
      } catch {
        target.isReady = false;
      }
    }
  }

  /** The next in turn that is ready; where none is, one that is not, as nothing better is known. */
  #next(tried) {
    const all = this.#targets.filter((target) => !tried.has(target));
    const ready = all.filter(({ isReady }) => isReady);
    const candidates = ready.length > 0 ? ready : all;
    return candidates[this.#turn++ % candidates.length];
  }
}

function connected({ hostname, port }) {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const timer = setTimeout(() => socket.destroy(new Error('it does not answer')), connectDeadline);
    socket.once('error', reject);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** On a connection of its own: one that is kept could be closed by the node just when the next request is written to it. */
function forward(request, response, { name, url }, socket) {
  const { method, url: path } = request;
  const headers = { ...without(request.headers), connection: 'close', 'x-forwarded-for': request.socket.remoteAddress };
  const upstream = httpRequest({ method, path, headers, host: url.hostname, createConnection: () => socket });
  upstream.once('response', (answer) => {
    response.writeHead(answer.statusCode, { ...without(answer.headers), 'x-node': name });
    answer.pipe(response);
    // The node has died in the middle of its answer: the client must not take it for whole.
    answer.once('error', () => response.destroy());
  });
  // The node may have worked already; whether to ask again, the client decides.
  upstream.once('error', () => fail(response, 502, `${name} has ended the connection.`));
  response.once('close', () => upstream.destroy());
  request.pipe(upstream);
}

function fail(response, status, message) {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ statusCode: status, message }));
}

const without = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));

/** Nodes say themselves when they are about to end. */
async function look(target) {
  try {
    const { ok } = await fetch(new URL('/ready', target.url), { signal: AbortSignal.timeout(connectDeadline) });
    target.isReady = ok;
  } catch {
    target.isReady = false;
  }
}
