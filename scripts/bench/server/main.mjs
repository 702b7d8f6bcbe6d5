// One application: Nest on one platform with the sessions of one variant. Its parent tells it which, and asks for the CPU
// time it has used.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { answerParent } from '../rpc.mjs';
import { benchController } from './controller.mjs';

const { platform, variant, url } = JSON.parse(process.argv[2]);
const { openDoor } = await import(`./doors/${variant.door}.mjs`);
const door = await openDoor({ variant, url });

class BenchModule {}
const module = { module: BenchModule, imports: door.imports ?? [], controllers: [benchController(door)] };
const app = await NestFactory.create(module, await adapterOf(platform), { logger: ['error'], abortOnError: false });
await door.prepare?.(app);
await app.listen(0, '127.0.0.1');
answerParent({ port: app.getHttpServer().address().port }, () => process.cpuUsage());

async function adapterOf(name) {
  if (name === 'express') return new (await import('@nestjs/platform-express')).ExpressAdapter();
  return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
}
