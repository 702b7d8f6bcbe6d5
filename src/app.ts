import { type INestApplication, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { createAdapter, type Platform } from './platform.js';

/** The whole application, not listening yet: what main.ts runs and the tests run too. */
export async function createApp(platform: Platform): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule, createAdapter(platform), { abortOnError: false });
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }));

  // The session cookie is SameSite=Lax already. This also refuses what a neighbouring subdomain posts, which is same-site.
  app.enableCsrfProtection();
  app.useSecurityHeaders({
    // Else the forms of a page served over http, as on a developer's machine, would post to https.
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    // The default, no-referrer, makes browsers post our own forms with `Origin: null`. Where they send no Sec-Fetch-Site
    // beside it (plain http on any other name than localhost), the protection above would refuse them.
    referrerPolicy: { policy: 'same-origin' },
  });
  return app;
}
