// One process of the application: Nest on Fastify, with the library as it is built. Its parent tells it which by the first
// argument, is told the port, asks it how it is, and ends it by SIGTERM, or by closing the channel.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import {
  MysqlSessionEntity,
  Session,
  SessionEntity,
  SessionModule,
  SqliteSessionEntity,
} from '../../../libs/session/dist/esm/index.js';
import { operationController } from '../../race/node/operation-controller.mjs';
import { plant } from './defects.mjs';
import { operate } from './operations.mjs';
import { poolOf } from './pool.mjs';
import { Stopwatch } from './stopwatch.mjs';

const { family, location, secret, defect } = JSON.parse(process.argv[2]);
const database = await import(`../../race/databases/${family}.mjs`);
const entity = { SessionEntity, MysqlSessionEntity, SqliteSessionEntity }[database.entity];

let dataSource;
const answer = plant(defect, (session, operation, body) => operate(session, operation, body, dataSource), {
  rows: () => dataSource.getRepository(entity),
});

const stopwatch = new Stopwatch();

class ChaosModule {}
const module = {
  module: ChaosModule,
  imports: [
    TypeOrmModule.forRoot({
      ...database.dataSource(location),
      autoLoadEntities: true,
      retryDelay: 500,
      retryAttempts: 60,
    }),
    SessionModule.forRoot({
      guardAll: true,
      entity,
      secrets: [secret],
      // Often enough to get into everybody's way.
      cleanup: { interval: '2s' },
      // Only what a process has to say about itself goes to stderr: that a database which is being killed fails is no news.
      onEvent: () => {},
    }),
  ],
  controllers: [operationController(Session, stopwatch.around(answer))],
};
const app = await NestFactory.create(module, new FastifyAdapter({ keepAliveTimeout: 600_000 }), {
  logger: false,
  abortOnError: false,
});
app.enableShutdownHooks();
dataSource = app.get(DataSource);
await app.init();
stopwatch.attach(app.getHttpAdapter().getInstance());
await app.listen(0, '127.0.0.1');

process.on('message', ({ ask }) => {
  if (ask === undefined) return;
  // What is garbage says nothing about what is kept.
  globalThis.gc();
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ answer: ask, rss, heapUsed, clock: Date.now(), pool: poolOf(dataSource) }, () => {});
});
const server = app.getHttpServer();
process.once('SIGTERM', () => {
  // A connection whose last request was under way when the server was closed would be waited for as long as it may rest.
  setInterval(() => server.closeIdleConnections(), 50).unref();
  // Where it does not end, this is why.
  const tell = () => console.error(process.getActiveResourcesInfo().join(' '), poolOf(dataSource));
  setTimeout(tell, 8000).unref();
});
process.once('disconnect', () => process.exit());
process.send({ port: server.address().port });
