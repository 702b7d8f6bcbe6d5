import { createParamDecorator } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { makeExpressObjects } from '../../../../libs/session/dist/esm/http/express-objects.js';

/**
 * Nest without any session: the most that this machine can do. Its server may make what Express needs as ours does, and it may
 * have all that leads to a session, but the session.
 */
export function openDoor({ variant }) {
  const { expressPrototypes, guard } = variant.options;
  return {
    prepare(app) {
      const application = app.getHttpAdapter().getInstance();
      if (expressPrototypes && application.response) makeExpressObjects(app.getHttpServer(), application);
    },
    imports: guard ? [{ module: GuardModule, providers: [{ provide: APP_GUARD, useClass: PassingGuard }] }] : [],
    Parameter: guard ? createParamDecorator(() => undefined) : undefined,
    get() {},
    set() {},
  };
}

class GuardModule {}

class PassingGuard {
  canActivate(context) {
    const response = context.getArgByIndex(1);
    // Fastify keeps them until it writes the head, which is the cheaper way there.
    const set = response.raw ? response.header : response.setHeader;
    set.call(response, 'Vary', 'Cookie');
    set.call(response, 'Cache-Control', 'private');
    return true;
  }
}
