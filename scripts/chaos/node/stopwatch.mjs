// How long each session operation of a request takes, in the process that answers: a request has up to three of them (the
// session is opened, the handler asks something of it, and what it changed is saved), each with a deadline of its own.

/** The header of a response that tells the longest of them, in milliseconds. */
export const LONGEST = 'x-longest-operation';

export class Stopwatch {
  #begins = new WeakMap();
  /** Moments of a handler, by the body of its request. */
  #handlers = new WeakMap();

  /** @param {import('fastify').FastifyInstance} fastify in which the library's hooks are already: ours come after them */
  attach(fastify) {
    fastify.addHook('onRequest', async (request) => void this.#begins.set(request.raw, performance.now()));
    fastify.addHook('onSend', async (request, reply) => {
      const begin = this.#begins.get(request.raw);
      const { began, ended, waited = 0 } = this.#handlers.get(request.body ?? {}) ?? {};
      const end = performance.now();
      const stages = began === undefined ? [end - begin] : [began - begin, ended - began - waited, end - ended];
      reply.header(LONGEST, Math.max(...stages).toFixed(1));
    });
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
