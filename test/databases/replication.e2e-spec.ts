import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SessionEntity } from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import { startApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { LabController, Nodes } from '../support/lab.js';

describe('[answer: the primary] under TypeORM replication', () => {
  const nodes = new Nodes();
  let primary: TestDatabase;
  // It has the table and will never have a row: a replica that lags for ever.
  let replica: TestDatabase;

  beforeAll(async () => {
    primary = await createDatabase();
    replica = await createDatabase();
    for (const { url } of [primary, replica]) await migrate(url);
    const replication = { master: { url: primary.url }, slaves: [{ url: replica.url }], defaultMode: 'slave' as const };
    const app = await startApp({
      platform: 'fastify',
      controllers: [LabController],
      typeorm: { type: 'postgres', replication },
    });
    nodes.nodes = [app];
  });

  afterAll(async () => {
    await nodes.nodes?.[0]?.close();
    for (const database of [primary, replica]) await database?.drop();
  });

  it('every session statement goes to the primary, where the application reads from a replica', async () => {
    const client = await nodes.visitor({ a: 1 });
    for (let request = 1; request <= 20; request++) {
      expect(await nodes.value(client, (session) => session.increment('n'))).toBe(request);
      expect(await nodes.value(client, (session) => session.update('m', (m: number = 0) => m + 1))).toBe(request);
    }
    await nodes.value(client, (session) => session.login('u', { keep: ['n'] }));
    expect(await nodes.data(client)).toEqual({ n: 20 });

    const count = 'SELECT count(*)::int AS count FROM sessions';
    expect(await primary.query(count)).toEqual([{ count: 1 }]);
    expect(await replica.query(count)).toEqual([{ count: 0 }]);
    // The instrument: what goes through TypeORM is answered by the replica.
    expect(await nodes.nodes[0]!.app.get(DataSource).getRepository(SessionEntity).count()).toBe(0);
  });
});
