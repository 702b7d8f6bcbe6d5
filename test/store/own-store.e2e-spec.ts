import type { AddressInfo } from 'node:net';
import { Controller, Module, Post, type DynamicModule, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Session, SessionEntity, SessionModule, type SessionModuleOptions } from 'nestjs-typeorm-session';
import { MemorySessionStore } from 'nestjs-typeorm-session/testing';
import { DataSource } from 'typeorm';
import { createAdapter } from '../../src/platform.js';
import { PLATFORMS } from '../support/app.js';
import { Client } from '../support/client.js';

@Controller()
class VisitsController {
  @Post('visit')
  async visit(@Session() session: Session) {
    return { visits: await session.increment('visits') };
  }

  @Post('save')
  async save(@Session() session: Session) {
    session.set('a', 1);
    await session.save({ manager: new DataSource({ type: 'postgres' }).manager });
  }
}

describe.each(PLATFORMS)('a store of one’s own on %s', (platform) => {
  let app: INestApplication | undefined;

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function start(session: DynamicModule): Promise<Client> {
    @Module({ imports: [session], controllers: [VisitsController] })
    class OwnStoreModule {}

    const options = { logger: false, abortOnError: false } as const;
    app = await NestFactory.create(OwnStoreModule, createAdapter(platform), options);
    await app!.listen(0, '127.0.0.1');
    const { port } = app!.getHttpServer().address() as AddressInfo;
    return new Client(`http://127.0.0.1:${port}`);
  }

  it('keeps the sessions without any data source', async () => {
    const store = new MemorySessionStore();
    const client = await start(SessionModule.forRoot({ guardAll: true, store }));
    for (let visits = 1; visits <= 3; visits++) expect((await client.post('/visit')).body).toEqual({ visits });
  });

  it('stands beside the factory', async () => {
    const store = new MemorySessionStore();
    const client = await start(
      SessionModule.forRootAsync({ guardAll: true, store, useFactory: () => ({ cookie: { name: 'own' } }) }),
    );
    await client.post('/visit');
    expect(client.cookie).toMatch(/^own=/);
  });

  it('is asked whether it can be used, and closed with the application', async () => {
    const calls: string[] = [];
    const store = Object.assign(new MemorySessionStore(), {
      check: () => Promise.resolve(void calls.push('check')),
      close: () => Promise.resolve(void calls.push('close')),
    });
    await start(SessionModule.forRoot({ store }));
    expect(calls).toEqual(['check']);
    await app!.close();
    app = undefined;
    expect(calls).toEqual(['check', 'close']);
  });

  it('refuses save({ manager }) where it cannot join', async () => {
    const client = await start(SessionModule.forRoot({ guardAll: true, store: new MemorySessionStore() }));
    const reply = await client.post<{ code: string; message: string }>('/save');
    expect([reply.status, reply.body.code]).toEqual([500, 'SESSION_TRANSACTION']);
    expect(reply.body.message).toContain('cannot join');
  });

  it.each([
    [{ store: {} }, /implements SessionStore/],
    [{ store: new MemorySessionStore(), dataSource: 'other' }, /leave out dataSource and entity/],
    [{ store: new MemorySessionStore(), entity: SessionEntity }, /leave out dataSource and entity/],
  ])('is refused at once where it makes no sense: %#', (options, sentence) => {
    expect(() => SessionModule.forRoot(options as SessionModuleOptions)).toThrow(sentence);
  });
});
