import { NestFactory } from '@nestjs/core';
import flash from 'connect-flash';
import { TypeormStore } from 'connect-typeorm';
import { csrfSync } from 'csrf-sync';
import session from 'express-session';
import passport from 'passport';
import { DataSource } from 'typeorm';
import { AppModule } from './app.module';
import { Session } from './sessions/session.entity';

async function bootstrap() {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  const store = new TypeormStore().connect(app.get(DataSource).getRepository(Session));
  app.use(session({ secret: process.env.SECRET!, resave: false, saveUninitialized: false, store }));
  app.use(passport.initialize());
  app.use(passport.session());
  app.use(flash());
  app.use(csrfSync().csrfSynchronisedProtection);
  app.enableShutdownHooks();
  await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
  console.log(`listening ${await app.getUrl()}`);
}

void bootstrap();
