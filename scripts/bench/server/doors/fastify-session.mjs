import { Req } from '@nestjs/common';
import { peer } from '../../peers.mjs';
import { openStore } from '../stores.mjs';

export async function openDoor({ variant, url }) {
  const { session, store, storeOptions } = variant.options;
  const opened = await openStore(store, url, storeOptions);
  return {
    async prepare(app) {
      await app.register(peer('@fastify/cookie'));
      await app.register(peer('@fastify/session'), { ...session, store: opened });
    },
    Parameter: Req,
    get: (request, key) => request.session[key],
    set: (request, key, value) => (request.session[key] = value),
    async signIn(request, data) {
      await request.session.regenerate();
      Object.assign(request.session, data);
    },
  };
}
