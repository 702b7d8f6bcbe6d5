import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { SessionEntity } from 'nestjs-typeorm-session';
import { HaProxy } from '../../scripts/engines/haproxy.mjs';
import { PostgresTrio } from '../../scripts/engines/postgres-trio.mjs';
import { primaryClient } from '../../src/primary-client.js';
import { LabController, Nodes, outcomeOf } from '../support/lab.js';
import { startApp } from '../support/app.js';
import { Counter, stopAll, untilTheyCount } from '../support/counters.js';
import { migrate } from '../support/database.js';
import { describeEngine } from '../support/engines.js';

/** Node 1 finds the primary by HAProxy, node 2 by itself. */
describeEngine('[failover] [line 9] when the primary of a PostgreSQL with standbys', ['postgres', 'haproxy'], () => {
  const lab = new Nodes();
  let trio: PostgresTrio;
  let proxy: HaProxy;
  jest.setTimeout(60_000);

  beforeAll(async () => {
    trio = await PostgresTrio.start({ synchronous: true });
    proxy = await HaProxy.start(trio);
    await migrate(trio.url());
    const options = { controllers: [LabController], session: { entity: SessionEntity } };
    const pool = { max: 4, connectionTimeoutMillis: 1000 };
    lab.nodes = [
      await startApp({
        ...options,
        platform: 'express',
        typeorm: { type: 'postgres', url: proxy.url(), extra: pool },
      }),
      await startApp({
        ...options,
        platform: 'fastify',
        typeorm: { type: 'postgres', url: trio.url(), extra: { ...pool, Client: primaryClient(trio.urls) } },
      }),
    ];
  });

  afterAll(async () => {
    for (const node of lab.nodes ?? []) await node.close();
    await proxy?.close();
    await trio?.close();
  });

  /** A visitor who counts on both nodes, with what happens meanwhile. Nothing acknowledged is lost, nothing done twice. */
  async function countWhile(happening: () => Promise<void>): Promise<void> {
    const client = await lab.visitor({ cart: ['tea'] });
    await lab.value(client, (session) => session.login('Ann', { keep: ['cart'] }));
    const counters = [0, 1].map((node) => new Counter(lab, client, node));
    await untilTheyCount(counters);
    await happening();
    // What is counted where nobody looks any more has to be more than what was under way.
    await untilTheyCount(counters, 50);
    const { least, most, others } = await stopAll(counters);
    expect(others).toEqual([]);
    for (const node of [0, 1]) {
      const seen = await lab.value(lab.at(client, node), (session) => [session.userId, session.get('cart')]);
      expect(seen).toEqual(['Ann', ['tea']]);
    }
    const n = (await lab.data(client)).n as number;
    expect(n).toBeGreaterThanOrEqual(least);
    expect(n).toBeLessThanOrEqual(most);
  }

  it('crashes and a standby is promoted, both nodes go on with it and nobody is signed out', async () => {
    await countWhile(async () => {
      const old = trio.primary;
      await trio.kill(old);
      await trio.failover();
      expect(trio.primary).not.toBe(old);
    });
  });

  it('is gone, what looks at the session is 503 within the deadline, and an unknown cookie is never issued', async () => {
    const client = await lab.visitor();
    const old = trio.primary;
    await trio.stop(old);
    for (const node of [0, 1]) {
      const begun = Date.now();
      const reply = await lab.act(lab.at(client, node), (session) => session.get('visitor'));
      expect([outcomeOf(reply), reply.setCookies]).toEqual([[503, 'SESSION_UNAVAILABLE'], []]);
      expect(Date.now() - begun).toBeLessThan(2500);
    }
    await trio.restart(old);
    for (const node of [0, 1]) {
      let reply = await lab.act(lab.at(client, node), (session) => session.get('visitor'));
      while (reply.status === 503) reply = await lab.act(lab.at(client, node), (session) => session.get('visitor'));
      expect([outcomeOf(reply), reply.body.value]).toEqual([[200, undefined], true]);
    }
  });

  it('hangs and comes back after another was promoted, its writes are acknowledged nowhere', async () => {
    const down = ([1, 2, 3] as const).find((node) => node !== trio.primary)!;
    await trio.rejoin(down);
    await countWhile(async () => {
      const old = trio.primary;
      trio.freeze(old);
      await trio.failover();
      // There are two primaries now, and connections of both nodes to the old one. It waits for standbys that have left it.
      trio.thaw(old);
    });
    expect(await trio.query('SELECT pg_is_in_recovery() AS standby')).toEqual([{ standby: false }]);
  });
});
