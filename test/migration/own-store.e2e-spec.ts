import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { LegacySessions } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import type { Client } from '../support/client.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { LabController, Nodes, outcomeOf } from '../support/lab.js';
import { NEVER_OVER, NEW_SECRET } from '../support/move-lab.js';

const OLD = 'an old secret';
const HOUR = 3_600_000;

/** What @fastify/session sends: no `s:`, and another name. */
function cookieOf(id: string): string {
  return `sessionId=${encodeURIComponent(`${id}.${createHmac('sha256', OLD).update(id).digest('base64').replace(/=+$/, '')}`)}`;
}

describe.each(PLATFORMS)('sessions from a store of one’s own on %s', (platform) => {
  const lab = new Nodes();
  let database: TestDatabase;
  let app: TestApp;
  let calls: unknown[][];
  let failure: Error | undefined;
  let refusal: Error | undefined;
  const sessions = new Map<string, Record<string, unknown>>();

  const old: Required<LegacySessions> = {
    async read(id) {
      calls.push(['read', id]);
      if (failure) throw failure;
      const data = sessions.get(id);
      return data && { data };
    },
    async touch(id, milliseconds) {
      calls.push(['touch', id, milliseconds]);
    },
    async remove(id) {
      calls.push(['remove', id]);
      if (refusal) throw refusal;
      sessions.delete(id);
    },
  };

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    const migrateFrom = { secrets: ['a newer one', OLD], until: new Date(NEVER_OVER), ...old };
    const session = { secrets: [NEW_SECRET], migrateFrom };
    app = await startApp({ platform, databaseUrl: database.url, controllers: [LabController], session });
    lab.nodes = [app];
  });
  beforeEach(async () => {
    await database.query('DELETE FROM sessions');
    calls = [];
    failure = refusal = undefined;
    app.events.splice(0);
    sessions.clear();
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  const visitorWith = (id: string): Client => {
    const client = lab.client();
    client.cookie = cookieOf(id);
    return client;
  };

  it('[move: own store] reads, prolongs and removes by its functions', async () => {
    sessions.set('one', { cart: ['sencha'], cookie: { originalMaxAge: 2 * HOUR, expires: 'soon' } });
    const visitor = visitorWith('one');
    expect(await lab.data(visitor)).toEqual({ cart: ['sencha'] });
    expect(calls[0]).toEqual(['read', 'one']);
    expect(calls[1]!.slice(0, 2)).toEqual(['touch', 'one']);
    expect(calls[1]![2]).toBeGreaterThan(2 * HOUR);
    await lab.value(visitor, (session) => session.destroy());
    expect([sessions.size, visitor.cookie]).toEqual([0, '']);
  });

  it('[move: own store] what it throws is an outage, and nothing of it is told', async () => {
    sessions.set('one', { a: 1 });
    failure = Object.assign(new Error('cannot GET one of secret host'), { code: 'ECONNREFUSED' });
    const reply = await lab.act(visitorWith('one'), (session) => session.get('a') as unknown);
    expect([outcomeOf(reply), reply.setCookies]).toEqual([[503, 'SESSION_UNAVAILABLE'], []]);
    expect(app.events).toEqual([{ type: 'store-failed', operation: 'move', reason: 'ECONNREFUSED' }]);
    failure = undefined;
    const visitor = visitorWith('one');
    expect(await lab.data(visitor)).toEqual({ a: 1 });
    refusal = new Error('one');
    const signIn = await lab.act(visitor, (session) => session.login('ann'));
    // The sign-in has happened, and the old session may be there: nobody may take that for done, nor for undone.
    expect([outcomeOf(signIn), signIn.setCookies.length]).toEqual([[503, 'SESSION_OUTCOME_UNKNOWN'], 1]);
    expect(JSON.stringify(app.events)).not.toContain('one');
  });
});
