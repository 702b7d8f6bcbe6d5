// How long each session operation of a request takes, in the process that answers: a request has up to three of them (the
// session is opened, the handler asks something of it, and what it changed is saved), each with a deadline of its own.
import { ServerResponse } from 'node:http';

/** The header of a response that tells the longest of them, in milliseconds. */
export const LONGEST = 'x-longest-operation';

export class Stopwatch {
  /** Moments of a handler, by the body of its request. */
  #handlers = new WeakMap();

  /** @param {import('fastify').FastifyInstance} fastify */
  attach(fastify) {
    fastify.addHook('onRequest', async (request, { raw }) => {
      const begin = performance.now();
      // Beneath the library, which holds the response until all is saved.
      for (const method of ['writeHead', 'end']) {
        const original = raw[method];
        raw[method] = (...args) => {
          if (!raw.headersSent && !raw.hasHeader(LONGEST)) {
            ServerResponse.prototype.setHeader.call(raw, LONGEST, this.#longest(request, begin).toFixed(1));
          }
          return original.apply(raw, args);
        };
      }
    });
  }

  #longest({ body }, begin) {
    const { began, ended, waited = 0 } = this.#handlers.get(body ?? {}) ?? {};
    const end = performance.now();
    if (began === undefined) return end - begin;
    return Math.max(began - begin, ended - began - waited, end - ended);
  }

  /** @param {Function} answer a handler: see operations.mjs */
  around(answer) {
    return async (session, operation, body) => {
      const moments = { began: performance.now(), waited: body.wait };
      this.#handlers.set(body, moments);
      try {
        return await answer(session, operation, body);
      } finally {
        moments.ended = performance.now();
      }
    };
  }
}
