import { makeExpressObjects } from '../../../../libs/session/dist/esm/http/express-objects.js';

/** Nest without any session: the most that this machine can do. Its server may make what Express needs as ours does. */
export const openDoor = ({ variant }) => ({
  prepare(app) {
    if (variant.options.expressPrototypes) {
      makeExpressObjects(app.getHttpServer(), app.getHttpAdapter().getInstance());
    }
  },
  get() {},
  set() {},
});
