import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Post } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import express from 'express';
import { Session } from 'nestjs-typeorm-session';
import { startApp, type TestApp } from '../support/app.js';
import { Client } from '../support/client.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';

@Controller()
class MountedController {
  @Get()
  read(@Session('name') name: string | undefined) {
    return { name: name ?? 'nobody' };
  }

  @Post()
  write(@Session() session: Session) {
    session.set('name', 'ann');
    return {};
  }
}

describe('[line 1] an application of Nest that is mounted in one of Express', () => {
  let database: TestDatabase;
  let testApp: TestApp;
  let server: Server;
  let url: string;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    testApp = await startApp({ platform: 'express', databaseUrl: database.url, controllers: [MountedController] });
    const parent = express();
    parent.use(testApp.app.getHttpAdapter().getInstance());
    server = createServer(parent).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.close();
    await testApp.close();
    await database.drop();
  });

  it('[line 1] commits before it answers', async () => {
    const client = new Client(url);
    expect((await client.post('/')).status).toBe(201);
    expect((await client.get('/')).body).toEqual({ name: 'ann' });
  });
});
