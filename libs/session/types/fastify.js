// Types alone: see fastify.d.ts.
