import { describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { SessionRef, SessionStore } from '../../libs/session/src/core/store.js';
import { createToken, hashToken } from '../../libs/session/src/core/token.js';
import { delta } from './support/batch-lab.js';
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.js';
import { eventually, useCacheLab } from './support/cache-lab.js';
import { NEVER } from './support/without-touch.js';

/** Milliseconds after which another node has to know. */
const BOUND = 200;

const replacement = () => ({ tokenHash: hashToken(createToken()), isUnsent: false });
const signIn = () => ({
  ...replacement(),
  login: { userId: 'u', keep: [], idleTimeout: 60_000, absoluteTimeout: 60_000, persistent: true },
});
const NOTHING = delta({});

/** What ends a token, and announces it. */
const ENDS: [name: string, end: (store: SessionStore, ref: SessionRef) => Promise<{ status: string }>][] = [
  ['destroys it', (store, ref) => store.delete(ref)],
  ['gives it a new token', (store, ref) => store.replace(ref, replacement(), NOTHING, NEVER)],
  ['signs in', (store, ref) => store.replace(ref, signIn(), NOTHING, NEVER)],
];

const CHANGES: [name: string, change: (store: SessionStore, ref: SessionRef) => Promise<{ status: string }>][] = [
  ['updates', (store, ref) => store.update(ref, delta({ n: 2 }), NEVER)],
  ['increments', (store, ref) => store.apply(ref, { kind: 'increment', key: 'n', by: 1 })],
];

describe('[cache] on PostgreSQL', () => {
  const lab = useCacheLab();

  it('answers without a statement, and what requests share nobody can change', async () => {
    const [node] = lab.nodes;
    const ref = await lab.cached(node);
    await eventually(async () => expect(await node.asks(ref)).toBe(0));
    const [one, other] = [await node.store.find([ref.tokenHash]), await node.store.find([ref.tokenHash])];
    expect(one).not.toBe(other);
    expect(one[0]).not.toBe(other[0]);
    const sessions = [one, other].map(([found]) => (found as { session?: object }).session);
    expect(sessions[1]).toBe(sessions[0]);
    expect(Object.isFrozen(sessions[0])).toBe(true);
  });

  it('counts what is left of a session, and never answers with an expired one', async () => {
    const [node] = lab.nodes;
    const ref = await lab.create({ n: 1 });
    await lab.database.query(`UPDATE sessions SET expires_at = clock_timestamp() + interval '1500 ms' WHERE id = $1`, [
      ref.id,
    ]);
    const start = performance.now();
    await eventually(async () => expect(await node.asks(ref, 2)).toBe(0), 1_200);
    expect(await node.find(ref)).toEqual({ n: 1 });
    await delay(1_500 - (performance.now() - start));
    expect(await node.find(ref)).toBeUndefined();
  });

  it('tells how long ago a session was touched, and after a touch that it was', async () => {
    const [node] = lab.nodes;
    const ref = await lab.create();
    await lab.database.query(`UPDATE sessions SET touched_at = touched_at - interval '1 minute' WHERE id = $1`, [
      ref.id,
    ]);
    await eventually(async () => expect(await node.asks(ref, 2)).toBe(0));
    const sinceTouched = async () => {
      const [found] = await node.store.find([ref.tokenHash]);
      if (found?.status !== 'live') return NaN;
      const now = performance.now();
      return found.session.sinceTouched + now - (found.session.countedAt ?? now);
    };
    const before = await sinceTouched();
    await delay(300);
    expect((await sinceTouched()) - before).toBeGreaterThan(290);
    expect(await node.store.touch(ref, 100)).toMatchObject({ status: 'applied' });
    expect(await sinceTouched()).toBeLessThan(30_000);
  });

  it('loads a session again when it is too old, whoever changed it and whatever was heard', async () => {
    const [node] = lab.nodes;
    const ref = await lab.cached(node);
    const start = performance.now();
    await lab.database.query(`UPDATE sessions SET data = '{"n": 9}' WHERE id = $1`, [ref.id]);
    await eventually(async () => expect(await node.find(ref)).toEqual({ n: 9 }), 2_500);
    expect(performance.now() - start).toBeLessThan(2_200);
  });

  describe.each(ENDS)('when another node %s', (_name, end) => {
    it('knows it within 200 ms', async () => {
      const [here, there] = lab.nodes;
      for (let round = 0; round < 20; round++) {
        const ref = await lab.cached(here);
        expect(['deleted', 'applied']).toContain((await end(there.store, ref)).status);
        const start = performance.now();
        let served = start;
        // Without a pause: what nobody asks for is not kept up.
        while (performance.now() - start < BOUND + 50) {
          const at = performance.now();
          if (((await here.find(ref)) as { n?: number } | undefined)?.n === 1) served = at;
          await delay(2);
        }
        expect(served - start).toBeLessThan(BOUND);
      }
    });

    it('is told by that very statement, once, with the public id and nothing else', async () => {
      const [, there] = lab.nodes;
      const ref = await lab.create();
      await delay(100);
      lab.payloads.splice(0);
      there.proxy.reset();
      await end(there.store, ref);
      await eventually(async () => expect(lab.payloads).toEqual([ref.id]));
      expect(there.proxy.sessionStatements).toHaveLength(1);
    });

    it('is told nothing where it found no row of its own', async () => {
      const [, there] = lab.nodes;
      const { id } = await lab.create();
      lab.payloads.splice(0);
      await end(there.store, { id, tokenHash: hashToken(createToken()) });
      // What comes in between would have come before this.
      await lab.database.query(`SELECT pg_notify(channel, 'end') FROM pg_listening_channels() AS channel`);
      const other = await lab.create();
      await there.store.delete(other);
      await eventually(async () => expect(lab.payloads).toEqual([other.id]));
    });
  });

  describe.each(CHANGES)('when another node %s', (_name, change) => {
    it('knows it soon', async () => {
      const [here, there] = lab.nodes;
      const ref = await lab.cached(here);
      const start = performance.now();
      await change(there.store, ref);
      await eventually(async () => expect(await here.find(ref)).toEqual({ n: 2 }));
      // On a machine that does much else: by time alone it would take two seconds.
      expect(performance.now() - start).toBeLessThan(1_000);
    });

    it('is told after the commit, and with the others', async () => {
      const [, there] = lab.nodes;
      const refs = await Promise.all(Array.from({ length: 450 }, () => lab.create({ n: 1 })));
      lab.payloads.splice(0);
      there.proxy.reset();
      await Promise.all(refs.map((ref) => change(there.store, ref)));
      const told = () => lab.payloads.flatMap((payload) => payload.split(':')[1]!.split(','));
      await eventually(async () => expect(told()).toHaveLength(450));
      expect(told().sort()).toEqual(refs.map(({ id }) => id).sort());
      expect(lab.payloads.length).toBeLessThan(225);
      expect(Math.max(...lab.payloads.map((payload) => Buffer.byteLength(payload)))).toBeLessThan(8_000);
      expect(there.proxy.sessionStatements.filter((sql) => sql.includes('pg_notify'))).toEqual([]);
    });
  });

  it('is never told of a touch', async () => {
    const [, there] = lab.nodes;
    const ref = await lab.create();
    lab.payloads.splice(0);
    expect(await there.store.touch(ref, 0)).toMatchObject({ status: 'applied' });
    await there.store.delete(ref);
    await eventually(async () => expect(lab.payloads).toContain(ref.id));
    await delay(100);
    expect(lab.payloads).toEqual([ref.id]);
  });

  it('sees what its own node has written at once', async () => {
    const [node] = lab.nodes;
    const ref = await lab.cached(node);
    for (let n = 2; n < 50; n++) {
      await lab.update(node, ref, { n });
      expect(await node.find(ref)).toEqual({ n });
    }
    for (const [, end] of ENDS) {
      const other = await lab.cached(node);
      await end(node.store, other);
      expect(await node.find(other)).not.toEqual({ n: 1 });
    }
  });

  it('decides no write: what has ended elsewhere a moment ago is gone, and is then known to be', async () => {
    const [here, there] = lab.nodes;
    const ref = await lab.cached(here);
    await there.store.delete(ref);
    expect(await lab.update(here, ref, { n: 2 })).toBe('gone');
    expect(await here.find(ref)).toBeUndefined();
  });

  it('sees what a transaction of the application wrote when that has ended, here and elsewhere', async () => {
    const [here, there] = lab.nodes;
    for (const isCommitted of [true, false]) {
      const ref = await lab.cached(here);
      const transaction = there.dataSource.transaction(async (manager) => {
        await there.store.join!(manager).store.update(ref, delta({ n: 2 }), NEVER);
        expect(await there.find(ref)).toEqual({ n: 1 });
        if (!isCommitted) throw new Error('undone');
      });
      await transaction.catch(() => {});
      expect(await there.find(ref)).toEqual({ n: isCommitted ? 2 : 1 });
      await eventually(async () => expect(await here.find(ref)).toEqual({ n: isCommitted ? 2 : 1 }), 1_000);
    }
  });

  it('listens on one connection of its own, which says what it is for', async () => {
    const named = await lab.database.query(
      `SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''`,
    );
    expect(named.map(({ application_name: name }) => name)).toEqual(
      lab.nodes.map(() => 'nestjs-typeorm-session cache'),
    );
  });
});

describe('[cache] when the listening connection', () => {
  const lab = useCacheLab();

  /** Neither hears nor gets another connection, until the test says so. */
  const cutOff = (node: (typeof lab.nodes)[0]) => {
    node.proxy.dropAnswerTo = (sql) => sql.startsWith('LISTEN');
    return lab.terminateListeners();
  };

  it('is ended, it is bypassed and forgotten until another listens', async () => {
    const [node] = lab.nodes;
    const ref = await lab.cached(node);
    node.events.splice(0);
    await cutOff(node);
    await eventually(async () => expect(node.events).toMatchObject([{ type: 'cache', state: 'bypassed' }]));
    expect(await node.asks(ref)).toBe(10);
    await lab.database.query(`UPDATE sessions SET data = '{"n": 2}' WHERE id = $1`, [ref.id]);
    expect(await node.find(ref)).toEqual({ n: 2 });
    node.proxy.dropAnswerTo = undefined;
    await eventually(async () => expect(await node.asks(ref, 2)).toBe(0));
    expect(await node.find(ref)).toEqual({ n: 2 });
    expect(node.events.map((event) => event.type === 'cache' && event.state)).toEqual(['bypassed', 'listening']);
  });

  it('goes silent, it is bypassed within 200 ms, and another listens later', async () => {
    const [here, there] = lab.nodes;
    const ref = await lab.cached(here);
    here.events.splice(0);
    await new Promise<void>((resolve) => {
      here.proxy.mute = (sql) => {
        if (sql === 'SELECT 1') resolve();
        return sql === 'SELECT 1';
      };
      const reading = setInterval(() => void here.find(ref), 10);
      void eventually(async () => expect(here.events).toHaveLength(2)).finally(() => clearInterval(reading));
    });
    here.proxy.mute = undefined;
    expect(await here.find(ref)).toEqual({ n: 1 });
    await there.store.delete(ref);
    await delay(BOUND);
    expect(await here.find(ref)).toBeUndefined();
    const other = await lab.cached(here);
    await eventually(async () => expect(await here.asks(other)).toBe(0));
    expect(here.events).toMatchObject([{ state: 'bypassed', reason: 'deadline' }, { state: 'listening' }]);
  });

  it('cannot be made when the application starts, it starts all the same and tries again', async () => {
    const node = await lab.open(undefined, (proxy) => (proxy.dropAnswerTo = (sql) => sql.startsWith('LISTEN')));
    expect(node.events).toMatchObject([{ type: 'cache', state: 'bypassed' }]);
    const ref = await lab.create({ n: 1 });
    expect(await node.asks(ref)).toBe(10);
    node.proxy.dropAnswerTo = undefined;
    await eventually(async () => expect(await node.asks(ref, 2)).toBe(0));
    expect(node.events).toHaveLength(2);
  });
});

const describePgbouncer = hasPgbouncer ? describe : describe.skip;
if (!hasPgbouncer) console.warn('PgBouncer: skipped, as there is no pgbouncer on this machine');

describePgbouncer('[cache] behind a PgBouncer that pools by transaction', () => {
  const lab = useCacheLab();

  it('goes by time alone, and says so in a sentence', async () => {
    const pooler = await startPgbouncer(lab.database.url);
    try {
      const node = await lab.open(pooler.url);
      expect(node.events).toEqual([{ type: 'cache', state: 'timed' }]);
      expect(node.warnings).toEqual([expect.stringContaining('goes by time alone')]);
      const ref = await lab.cached(node);
      const start = performance.now();
      await lab.nodes[1].store.delete(ref);
      await delay(BOUND);
      expect(await node.find(ref)).toEqual({ n: 1 });
      await eventually(async () => expect(await node.find(ref)).toBeUndefined(), 2_500);
      expect(performance.now() - start).toBeLessThan(2_200);
      // The other way it is heard: what a statement announces passes.
      const other = await lab.cached(lab.nodes[1]);
      await node.store.delete(other);
      await delay(BOUND);
      expect(await lab.nodes[1].find(other)).toBeUndefined();
      await lab.close(node);
    } finally {
      await pooler.stop();
    }
  });
});
