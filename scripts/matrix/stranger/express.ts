import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { DataSource } from 'typeorm';
import { AppModule, serve } from './app.js';
import { legacy } from './legacy.js';

void NestFactory.create(AppModule, new ExpressAdapter(), { logger: ['error', 'warn'] }).then((app) => {
  app.use('/legacy', ...legacy(app.get(DataSource)));
  return serve(app);
});
