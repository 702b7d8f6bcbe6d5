import { promisify } from 'node:util';
import { Req } from '@nestjs/common';
import { peer } from '../../peers.mjs';
import { openStore } from '../stores.mjs';

export async function openDoor({ variant, url }) {
  const { session, store, storeOptions } = variant.options;
  const middleware = peer('express-session')({ ...session, store: await openStore(store, url, storeOptions) });
  return {
    prepare: (app) => app.use(middleware),
    Parameter: Req,
    get: (request, key) => request.session[key],
    set: (request, key, value) => (request.session[key] = value),
    // As its README signs in; it saves at the end of the request.
    async signIn(request, data) {
      await promisify(request.session.regenerate).call(request.session);
      Object.assign(request.session, data);
    },
  };
}
