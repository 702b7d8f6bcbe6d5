// The benchmark's application with the library in it. Its parent asks for the CPU time it has used, and for a clean-up,
// which it does as any application does it while it answers requests.
import 'reflect-metadata';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { NestFactory } from '@nestjs/core';
import { SessionCleanupService } from '../../libs/session/dist/esm/index.js';
import { answerParent } from '../bench/rpc.mjs';
import { benchController } from '../bench/server/controller.mjs';
import { openDoor } from '../bench/server/doors/ours.mjs';

const { options, url } = JSON.parse(process.argv[2]);
const door = openDoor({ variant: { options }, url });

class ScaleModule {}
const module = { module: ScaleModule, imports: door.imports, controllers: [benchController(door)] };
const app = await NestFactory.create(module, new FastifyAdapter(), { logger: ['error'], abortOnError: false });
await app.listen(0, '127.0.0.1');

const answers = {
  spent: () => process.cpuUsage(),
  cleanUp: () => app.get(SessionCleanupService).run(),
};
answerParent({ port: app.getHttpServer().address().port }, ({ verb }) => answers[verb]());
