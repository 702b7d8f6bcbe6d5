import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { MysqlSessionEntity } from 'nestjs-typeorm-session';
import { GaleraTrio } from '../../scripts/engines/galera-trio.mjs';
import { HaProxy } from '../../scripts/engines/haproxy.mjs';
import type { Platform } from '../support/app.js';
import { Counter, stopAll, untilTheyCount } from '../support/counters.js';
import { describeContract } from '../support/describe-contract.js';
import type { DatabaseKind } from '../support/databases.js';
import { useDatabase } from '../support/database-lab.js';
import { describeEngine } from '../support/engines.js';
import { barrier, GONE, outcomeOf, REPLACED, tally, times } from '../support/lab.js';

describeEngine('on Galera, each node of the application on a primary of its own,', ['galera', 'haproxy'], () => {
  let trio: GaleraTrio;
  jest.setTimeout(60_000);

  beforeAll(async () => {
    trio = await GaleraTrio.start({ syncWait: 1 });
  });

  afterAll(() => trio?.close());

  let databases = 0;
  const kindOf = (name: string, typeormOf: (url: string) => string = (url) => url): DatabaseKind => ({
    name,
    entity: MysqlSessionEntity,
    nodes: 3,
    garbage: ['[]'],
    async create() {
      const database = `test_${++databases}`;
      await trio.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
      const [first, ...others] = trio.urls.map((url) => ({
        type: 'mariadb' as const,
        url: Object.assign(new URL(typeormOf(url)), { pathname: `/${database}` }).href,
        connectTimeout: 2000,
      }));
      return { typeorm: first!, others, drop: () => trio.query(`DROP DATABASE ${database}`) };
    },
  });
  const galera = kindOf('Galera');

  describe.each<Platform>(['express', 'fastify'])('a session on %s', (platform) => {
    describeContract(galera, platform);
  });

  describe('[galera] what three primaries could get wrong', () => {
    const lab = useDatabase(galera, 'fastify');

    it('reads on any node what any other has just acknowledged', async () => {
      const client = await lab.visitor({ step: 0 });
      for (let step = 1; step <= 60; step++) {
        await lab.value(lab.at(client, step), (session) => session.set('step', step));
        expect(await lab.value(lab.at(client, step + 1), (session) => session.get('step'))).toBe(step);
      }
    });

    it('loses no increment, append or update of the same row, and gives a value away once', async () => {
      const client = await lab.visitor({ prize: 'one' });
      const replies = await times(90, (index) => {
        const here = lab.at(client, index);
        if (index % 3 === 0) return lab.act(here, (session) => session.increment('n'));
        if (index % 3 === 1) return lab.act(here, (session) => session.append('list', index));
        return lab.act(here, (session) => session.update('sum', (sum: number = 0) => sum + 1));
      });
      expect(tally(replies)).toEqual({ 200: 90 });
      const data = await lab.data(client);
      expect([data.n, (data.list as number[]).length, data.sum]).toEqual([30, 30, 30]);

      const takers = await times(9, (index) => lab.act(lab.at(client, index), (session) => session.take('prize')));
      expect(takers.filter(({ body }) => body.value === 'one')).toHaveLength(1);
    });

    it('keeps the keys that three nodes set in the same moment', async () => {
      const client = await lab.visitor();
      for (let round = 0; round < 10; round++) {
        const all = barrier(3);
        const replies = await times(3, (node) =>
          lab.act(lab.at(client, node), async (session) => {
            session.keys();
            await all();
            session.set(`${round}/${node}`, true);
          }),
        );
        expect(tally(replies)).toEqual({ 200: 3 });
      }
      expect(Object.keys(await lab.data(client))).toHaveLength(31);
    });

    it('has one successor of sign-ins on three nodes at once, and every other token is dead', async () => {
      for (let round = 0; round < 5; round++) {
        const client = await lab.visitor();
        const all = barrier(3);
        const tabs = [0, 1, 2].map((node) => lab.at(client, node));
        const replies = await Promise.all(
          tabs.map((tab, node) =>
            lab.act(tab, async (session) => {
              session.keys();
              await all();
              if (node === 2) await session.regenerate();
              else await session.login(`user ${node}`);
            }),
          ),
        );
        const outcomes = replies.map(outcomeOf);
        expect(outcomes.filter(([status]) => status === 200)).toHaveLength(1);
        expect(outcomes.filter(([status]) => status !== 200)).toEqual([REPLACED, REPLACED]);
        const winner = tabs[outcomes.findIndex(([status]) => status === 200)]!;
        expect(await lab.value(lab.at(winner, round), (session) => session.isNew)).toBe(false);
        expect(await lab.value(lab.at(client, round + 1), (session) => session.isNew)).toBe(true);
      }
      expect(await lab.rows()).toHaveLength(5);
    });

    it('brings nothing back that was signed out on another node', async () => {
      for (let round = 0; round < 10; round++) {
        const client = await lab.visitor();
        const all = barrier(2);
        const [signOut, save] = await Promise.all([
          lab.act(lab.at(client, 0), async (session) => {
            session.keys();
            await all();
            await session.destroy();
          }),
          lab.act(lab.at(client, 1), async (session) => {
            session.keys();
            await all();
            session.set('late', true);
          }),
        ]);
        expect(signOut.status).toBe(200);
        if (save.status !== 200) expect(outcomeOf(save)).toEqual(GONE);
      }
      expect(await lab.rows()).toEqual([]);
    });

    it('cleans up on three nodes at once, past sessions that are in use', async () => {
      const clients = await times(30, () => lab.visitor());
      await lab.dataSource.query('UPDATE sessions SET expires_at = 1000 ORDER BY id LIMIT 15');
      const { SessionCleanupService } = await import('nestjs-typeorm-session');
      const cleanups = lab.nodes.map(({ app }) => app.get(SessionCleanupService).run());
      const replies = await Promise.all(
        clients.map((client, index) => lab.act(lab.at(client, index), (session) => session.set('used', true))),
      );
      // A node whose batch another node was faster with reports a conflict, or finds nothing left.
      const results = await Promise.allSettled(cleanups);
      expect(results.some(({ status }) => status === 'fulfilled')).toBe(true);
      expect(tally(replies)[200]).toBeGreaterThanOrEqual(15);
      for (const { app } of lab.nodes) await app.get(SessionCleanupService).run();
      const rows = await lab.rows();
      expect(rows.filter(({ data }) => (data as { visitor?: boolean }).visitor)).toHaveLength(15);
    });
  });

  // Last: it kills nodes, and brings them back.
  describe('[galera] [line 9] when nodes die', () => {
    let proxy: HaProxy;
    beforeAll(async () => {
      proxy = await HaProxy.start(trio);
    });
    afterAll(() => proxy?.close());

    const lab = useDatabase(
      kindOf('Galera behind HAProxy', (url) => (url === trio.url(1) ? proxy.url() : url)),
      'express',
      // As it is by default: what happens within it is what this is about.
      { session: { deadline: '2s' } },
    );

    it('goes on through HAProxy and on the others when one is killed, and everywhere when it is back', async () => {
      const client = await lab.visitor();
      await lab.value(client, (session) => session.login('Ann'));
      const counters = [0, 1, 2].map((node) => new Counter(lab, client, node));
      await untilTheyCount(counters);

      await trio.kill(2);
      await untilTheyCount([counters[0]!, counters[2]!]);
      expect(outcomeOf(await lab.act(lab.at(client, 1), (session) => session.userId))).toEqual([
        503,
        'SESSION_UNAVAILABLE',
      ]);
      expect(await lab.value(lab.at(client, 2), (session) => session.userId)).toBe('Ann');
      await trio.rejoin(2);
      await untilTheyCount(counters);

      const { least, most, others } = await stopAll(counters);
      expect(others).toEqual([]);
      const n = (await lab.data(client)).n as number;
      expect(n).toBeGreaterThanOrEqual(least);
      expect(n).toBeLessThanOrEqual(most);
    });

    it('is 503 without the quorum, never 401, and heals when there is one', async () => {
      const client = await lab.visitor({ cart: ['tea'] });
      await Promise.all([trio.kill(1), trio.kill(2)]);
      const alone = lab.at(client, 2);
      // A node that has lost the others says so after a while; it must not serve what it has.
      const seen = new Set<string>();
      for (let attempt = 0; attempt < 40 && !seen.has('SESSION_UNAVAILABLE'); attempt++) {
        const [status, code] = outcomeOf(await lab.act(alone, (session) => session.set('attempt', attempt)));
        if (status !== 200) expect(status).toBe(503);
        seen.add(code ?? String(status));
      }
      const read = await lab.act(alone, (session) => session.get('cart'));
      expect([outcomeOf(read), read.setCookies]).toEqual([[503, 'SESSION_UNAVAILABLE'], []]);

      await trio.bootstrap(3);
      expect(await lab.value(alone, (session) => session.get('cart'))).toEqual(['tea']);
      await lab.value(alone, (session) => session.set('bought', true));
      await trio.rejoin(1);
      await trio.rejoin(2);
      expect(await lab.value(lab.at(client, 1), (session) => session.get('bought'))).toBe(true);
    });
  });
});
