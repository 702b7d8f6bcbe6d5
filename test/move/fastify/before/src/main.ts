import fastifyCookie from '@fastify/cookie';
import fastifyCsrf from '@fastify/csrf-protection';
import fastifyPassport from '@fastify/passport';
import fastifySession from '@fastify/session';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import connectPgSimple from 'connect-pg-simple';
import { AppModule } from './app.module';

async function bootstrap() {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), {
    logger: ['error', 'warn'],
  });
  await app.register(fastifyCookie);
  const store = new (connectPgSimple(fastifySession as never))();
  await app.register(fastifySession, { secret: process.env.SECRET!, cookie: { secure: 'auto' }, store });
  await app.register(fastifyPassport.initialize());
  await app.register(fastifyPassport.secureSession());
  await app.register(fastifyCsrf, { sessionPlugin: '@fastify/session' });

  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('preHandler', (request, reply, done) => {
    if (request.method === 'GET') done();
    else fastify.csrfProtection(request, reply, done);
  });
  app.enableShutdownHooks();
  await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
  console.log(`listening ${await app.getUrl()}`);
}

void bootstrap();
