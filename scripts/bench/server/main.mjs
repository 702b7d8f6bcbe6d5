// One application: Nest on one platform with the sessions of one variant. Its parent tells it which, and asks for the CPU
// time it has used.
import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { dirname } from 'node:path';
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { answerParent } from '../rpc.mjs';
import { benchController } from './controller.mjs';

const { platform, variant, url, profileFile } = JSON.parse(process.argv[2]);
const { openDoor } = await import(`./doors/${variant.door}.mjs`);
const door = await openDoor({ variant, url });

class BenchModule {}
const module = { module: BenchModule, imports: door.imports ?? [], controllers: [benchController(door)] };
const app = await NestFactory.create(module, await adapterOf(platform), { logger: ['error'], abortOnError: false });
await door.prepare?.(app);
await app.listen(0, '127.0.0.1');
let isProfiled = false;
answerParent({ port: app.getHttpServer().address().port }, () => {
  // It is asked first when all that is slow but once is over.
  if (profileFile && !isProfiled) startProfile();
  return process.cpuUsage();
});

/** Until the process ends. */
function startProfile() {
  isProfiled = true;
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.start');
  process.once('exit', () =>
    session.post('Profiler.stop', (error, { profile }) => {
      if (error) throw error;
      mkdirSync(dirname(profileFile), { recursive: true });
      writeFileSync(profileFile, JSON.stringify(profile));
    }),
  );
}

async function adapterOf(name) {
  if (name === 'express') return new (await import('@nestjs/platform-express')).ExpressAdapter();
  return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
}
