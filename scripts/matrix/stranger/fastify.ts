import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule, serve } from './app.js';

void NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error', 'warn'] }).then(serve);
