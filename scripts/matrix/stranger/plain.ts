import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { SessionEntity } from 'nestjs-typeorm-session/express-session';
import { DataSource } from 'typeorm';
import { legacy } from './legacy.js';
import { loaded } from './loaded.js';

/** Express and TypeORM, and no Nest. */
const dataSource = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  entities: [SessionEntity],
  connectTimeoutMS: 2000,
});
const app = express();
app.get('/loaded', (_, res) => void res.json(loaded()));
app.use('/legacy', ...legacy(dataSource));

void dataSource.initialize().then(() => {
  const server = app.listen(0, '127.0.0.1', () => {
    console.log(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
});
