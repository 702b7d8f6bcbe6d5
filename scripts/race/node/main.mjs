// One process of the application: Nest on Fastify, with the library's sessions or with the control's. Its parent tells
// it which by the first argument, is told the port, and ends it by closing the channel.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { raceController } from './controller.mjs';

const { databaseName, location, implementation } = JSON.parse(process.argv[2]);
const database = await import(`../databases/${databaseName}.mjs`);
const { sessions } = await import(`./${implementation}.mjs`);
const { Session, imports, providers } = sessions(database);

class RaceModule {}
const module = {
  module: RaceModule,
  imports: [
    TypeOrmModule.forRoot({ ...database.dataSource(location), autoLoadEntities: true, retryAttempts: 0 }),
    ...imports,
  ],
  providers,
  controllers: [raceController(Session)],
};
// The connections of the clients rest between two operations.
const adapter = new FastifyAdapter({ keepAliveTimeout: 600_000 });
const app = await NestFactory.create(module, adapter, { logger: ['error'], abortOnError: false });
await app.listen(0, '127.0.0.1');
process.once('disconnect', () => process.exit());
process.send({ port: app.getHttpServer().address().port });
