import { describe, expect, it } from '@jest/globals';
import { MemorySessionStore } from 'nestjs-typeorm-session/testing';
import { PLATFORMS, startApp } from '../support/app.js';
import { createDatabase } from '../support/database.js';
import { LabController, Nodes } from '../support/lab.js';

class CountingStore extends MemorySessionStore {
  finds = 0;

  override find(tokenHashes: readonly Buffer[]) {
    this.finds += 1;
    return super.find(tokenHashes);
  }
}

describe.each(PLATFORMS)('[cache] before a store of the application on %s', (platform) => {
  it.each([
    [{}, 1],
    [false as const, 11],
  ])('with cache: %j eleven reads ask it %d times', async (cache, finds) => {
    const database = await createDatabase();
    const store = new CountingStore();
    const app = await startApp({
      platform,
      databaseUrl: database.url,
      controllers: [LabController],
      session: { store, cache },
    });
    try {
      const nodes = new Nodes();
      nodes.nodes = [app];
      const client = await nodes.visitor({ n: 1 });
      for (let read = 0; read < 11; read++) expect(await nodes.data(client)).toEqual({ n: 1 });
      expect(store.finds).toBe(finds);
      await nodes.value(client, (session) => session.set('n', 2));
      expect(await nodes.data(client)).toEqual({ n: 2 });
    } finally {
      await app.close();
      await database.drop();
    }
  });
});
