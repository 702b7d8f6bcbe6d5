import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { SessionRef } from '../../../libs/session/src/core/store.js';
import { Gate } from '../../support/lab.js';
import { whileLocked } from '../../support/row-lock.js';
import { delta, isShared, newSession, useBatchLab } from './batch-lab.js';
import { NEVER } from './without-touch.js';

/** What holds of statements that sessions share, whether they go as they are or are kept as functions. */
export function describeBatches(functions: boolean): void {
  describe('loads of one turn', () => {
    const lab = useBatchLab({ functions });

    it('[batch] share one SELECT, and each gets its own', async () => {
      const refs = await lab.createMany(30);
      const unknown = { tokenHash: Buffer.alloc(32) };
      const kinds = await lab.kindsOf(async () => {
        const found = await Promise.all([...refs, unknown].map(({ tokenHash }) => lab.find(tokenHash)));
        expect(found).toEqual([...refs.map((_, n) => [{ n }]), []]);
      });
      expect(kinds).toEqual(['SELECT']);
    });

    it('[batch] share two where there are many, and each gets its own', async () => {
      const refs = await lab.createMany(80);
      const kinds = await lab.kindsOf(async () => {
        const found = await Promise.all(refs.map(({ tokenHash }) => lab.find(tokenHash)));
        expect(found).toEqual(refs.map((_, n) => [{ n }]));
      });
      expect(kinds).toEqual(['SELECT', 'SELECT']);
    });

    it('[batch] get theirs where one asks for several, and where several ask for one', async () => {
      const [ann, bob, eve] = (await lab.createMany(3)).map(({ tokenHash }) => tokenHash) as [Buffer, Buffer, Buffer];
      const kinds = await lab.kindsOf(async () => {
        const found = await Promise.all([
          lab.find(ann, eve),
          lab.find(bob),
          lab.find(ann),
          lab.find(),
          lab.find(bob, bob),
        ]);
        expect((found as { n: number }[][]).map((one) => one.sort((a, b) => a.n - b.n))).toEqual([
          [{ n: 0 }, { n: 2 }],
          [{ n: 1 }],
          [{ n: 0 }],
          [],
          [{ n: 1 }],
        ]);
      });
      expect(kinds).toEqual(['SELECT']);
    });

    it('[batch] leave out what has expired', async () => {
      const [live, expired] = (await lab.createMany(2)) as [SessionRef, SessionRef];
      await lab.database.query('UPDATE sessions SET expires_at = now() WHERE id = $1', [expired.id]);
      const found = await Promise.all([live, expired].map(({ tokenHash }) => lab.find(tokenHash)));
      expect(found).toEqual([[{ n: 0 }], []]);
    });

    it('[batch] tell only who asks with a replaced token that it was replaced', async () => {
      const [old, other] = (await lab.createMany(2)) as [SessionRef, SessionRef];
      const tokenHash = Buffer.alloc(32, 7);
      await lab.store.replace(old, { tokenHash, isUnsent: false }, delta({}), NEVER);
      const found = await Promise.all([lab.find(old.tokenHash), lab.find(other.tokenHash), lab.find(tokenHash)]);
      expect(found).toEqual([['replaced'], [{ n: 1 }], [{ n: 0 }]]);
      expect(new Set(await lab.find(old.tokenHash, tokenHash))).toEqual(new Set([{ n: 0 }, 'replaced']));
      // Alone, as no batch is there to sort out what it did not ask for.
      const alone = await lab.dataSources[0]!.transaction((manager) =>
        lab.store.join!(manager).store.find([old.tokenHash]),
      );
      expect(alone).toEqual([{ status: 'replaced' }]);
    });

    it('[batch] are 64 in a statement at most', async () => {
      const refs = await lab.createMany(10);
      const many = Array.from({ length: 130 }, () => Buffer.from(randomUUID().replaceAll('-', '')));
      const kinds = await lab.kindsOf(async () => {
        const found = await Promise.all([...many, ...refs.map((ref) => ref.tokenHash)].map((hash) => lab.find(hash)));
        expect(found.slice(130)).toEqual(refs.map((_, n) => [{ n }]));
      });
      expect(kinds).toEqual(['SELECT', 'SELECT', 'SELECT']);
    });

    it('[batch] never join one that was sent: who has seen a write acknowledged finds it', async () => {
      const ref = await lab.create({ a: 'old' });
      const gate = new Gate();
      let held = 0;
      lab.proxy.dropAnswerTo = undefined;
      lab.proxy.beforeStatement = (sql) => (sql.startsWith('SELECT') && held++ === 0 ? gate.pass() : undefined);
      const early = lab.find(ref.tokenHash);
      await gate.reached;
      expect(await lab.update(ref, { a: 'new' })).toBe('applied');
      expect(await lab.find(ref.tokenHash)).toEqual([{ a: 'new' }]);
      gate.open();
      await early;
      expect(held).toBe(2);
    });

    it('[batch] wait for a statement where as many as may be are under way, and travel with the next together', async () => {
      const refs = await lab.createMany(6);
      const gate = new Gate(2);
      let held = 0;
      lab.proxy.beforeStatement = (sql) => (sql.startsWith('SELECT') && held++ < 2 ? gate.pass() : undefined);
      const finds: Promise<unknown[]>[] = [];
      const kinds = await lab.kindsOf(async () => {
        for (const { tokenHash } of refs) {
          finds.push(lab.find(tokenHash));
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        await gate.reached;
        gate.open();
        expect(await Promise.all(finds)).toEqual(refs.map((_, n) => [{ n }]));
      });
      expect(kinds).toEqual(['SELECT', 'SELECT', 'SELECT']);
    });

    it('[batch] do not fail with a neighbour whose row the database cannot read', async () => {
      const refs = await lab.createMany(4);
      await lab.database.query('ALTER TABLE sessions RENAME TO hidden');
      try {
        await lab.database.query(
          `CREATE VIEW sessions AS SELECT id, token_hash, CASE WHEN data->>'n' = '2' THEN to_jsonb(1 / (data->>'zero')::int) ` +
            'ELSE data END AS data, user_id, version, created_at, touched_at, expires_at, absolute_expires_at, idle_timeout, ' +
            'persistent, previous_token_hash, previous_token_until, last_write FROM hidden',
        );
        await lab.database.query(`UPDATE hidden SET data = data || '{"zero": 0}' WHERE data->>'n' = '2'`);
        const found = await Promise.allSettled(refs.map(({ tokenHash }) => lab.find(tokenHash)));
        expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
        expect(found[2]).toMatchObject({ reason: { failure: 'refused', reason: '22012' } });
      } finally {
        await lab.database.query('DROP VIEW IF EXISTS sessions');
        await lab.database.query('ALTER TABLE hidden RENAME TO sessions');
      }
    });

    it('[batch] all know when the database is away', async () => {
      const refs = await lab.createMany(3);
      lab.proxy.mode = 'refuse';
      const found = await Promise.allSettled(refs.map(({ tokenHash }) => lab.find(tokenHash)));
      lab.proxy.mode = 'pass';
      for (const one of found) expect(one).toMatchObject({ status: 'rejected', reason: { failure: 'unavailable' } });
      // Where five statements have failed, nobody asks for a quarter of a second.
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(await lab.find(refs[0]!.tokenHash)).toEqual([{ n: 0 }]);
    });

    it('[batch] [functions] are calls of functions where these are there, and of none elsewhere', () => {
      expect([...lab.called]).toEqual(functions ? expect.arrayContaining(['find', 'find_many']) : []);
    });
  });

  describe('INSERTs of one turn', () => {
    const lab = useBatchLab({ functions });
    const statuses = (outcomes: PromiseSettledResult<unknown>[]) => outcomes.map(({ status }) => status);

    it('[batch] share one, and each session is as it was asked for', async () => {
      const odd = { 'q"\\\u2028,{}': JSON.stringify(['ü', null]), empty: '""' };
      const sessions = [
        newSession({ userId: ' ann  lee -', data: odd }),
        newSession({ userId: 'NULL', idleTimeout: 60_000, persistent: false }),
        newSession({ absoluteTimeout: 600_000, data: { n: '3' } }),
        ...Array.from({ length: 37 }, () => newSession()),
      ];
      const kinds = await lab.kindsOf(async () => {
        const outcomes = await Promise.all(sessions.map((session) => lab.store.create(session)));
        const inMinutes = (n: number) => ({
          status: 'applied',
          expiresAt: expect.closeTo(Date.now() + n * 60_000, -4),
        });
        expect(outcomes).toEqual([60, 1, 10, ...Array.from({ length: 37 }, () => 60)].map(inMinutes));
      });
      expect(kinds).toEqual(['inserts']);
      const found = await lab.store.find(sessions.map(({ tokenHash }) => tokenHash));
      const byId = new Map(found.map((one) => (one.status === 'live' ? [one.session.id, one.session] : [])) as never);
      for (const { id, tokenHash, userId, idleTimeout, absoluteTimeout, persistent, data } of sessions) {
        expect(byId.get(id)).toMatchObject({
          tokenHash,
          userId,
          idleTimeout,
          persistent,
          sinceTouched: expect.closeTo(0, -4),
        });
        const { data: text, absoluteRemaining } = byId.get(id) as unknown as {
          data: string;
          absoluteRemaining: number;
        };
        expect(absoluteRemaining).toBeCloseTo(absoluteTimeout, -4);
        expect(JSON.parse(text)).toEqual(
          Object.fromEntries(Object.entries(data).map(([key, json]) => [key, JSON.parse(json)])),
        );
      }
      const rows = await lab.database.query(
        'SELECT DISTINCT last_write FROM sessions WHERE version = 1 AND created_at = touched_at',
      );
      expect(rows).toHaveLength(40);
    });

    it('[batch] leave one that has no company to a statement of its own', async () => {
      expect(await lab.kindsOf(() => lab.create())).toEqual(['INSERT']);
    });

    it('[batch] do not fail with a neighbour whose token is there already, and it is not adopted', async () => {
      const known = await lab.create({ n: 'known' });
      const sessions = [newSession(), newSession({ tokenHash: known.tokenHash }), newSession()];
      const outcomes = await Promise.allSettled(sessions.map((session) => lab.store.create(session)));
      expect(statuses(outcomes)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(outcomes[1]).toMatchObject({ reason: { failure: 'refused', reason: '23505' } });
      expect(await lab.find(known.tokenHash)).toEqual([{ n: 'known' }]);
    });

    it('[batch] of one token are never in one statement, and one of them comes to be', async () => {
      const { tokenHash } = newSession();
      const others = [newSession(), newSession()];
      const twins = [newSession({ tokenHash }), newSession({ tokenHash })];
      const kinds = await lab.kindsOf(async () => {
        const outcomes = await Promise.allSettled([...others, ...twins].map((session) => lab.store.create(session)));
        expect(statuses(outcomes)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
      });
      expect(kinds).toEqual(['inserts', 'INSERT']);
    });

    it('[batch] do not fail with a neighbour whose values the database refuses', async () => {
      const sessions = [newSession(), newSession({ data: { a: '"\\u0000"' } }), newSession()];
      const outcomes = await Promise.allSettled(sessions.map((session) => lab.store.create(session)));
      expect(statuses(outcomes)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(outcomes[1]).toMatchObject({ reason: { failure: 'refused', reason: '22P05' } });
      expect(await lab.rows()).toHaveLength(2);
    });

    it('[batch] do not wait for what somebody has locked for one of them', async () => {
      await lab.database.query('CREATE TABLE users (id varchar PRIMARY KEY)');
      await lab.database.query("INSERT INTO users VALUES ('ann'), ('bob')");
      await lab.database.query('ALTER TABLE sessions ADD CONSTRAINT owner FOREIGN KEY (user_id) REFERENCES users (id)');
      try {
        let isLocked = true;
        let late!: Promise<string>;
        await whileLocked(lab.database, "SELECT id FROM users WHERE id = 'ann' FOR UPDATE", async () => {
          late = lab.store.create(newSession({ userId: 'ann' })).then(({ status }) => `${status}, locked: ${isLocked}`);
          const others = [newSession({ userId: 'bob' }), newSession()];
          const outcomes = await Promise.all(others.map((session) => lab.store.create(session)));
          expect(outcomes.map(({ status }) => status)).toEqual(['applied', 'applied']);
          isLocked = false;
        });
        expect(await late).toBe('applied, locked: false');
      } finally {
        await lab.database.query('ALTER TABLE sessions DROP CONSTRAINT owner');
        await lab.database.query('DROP TABLE users');
      }
    });

    it('[batch] leave the time that statements wait for locks as it is', async () => {
      const dataSource = lab.dataSources[0]!;
      await Promise.all(Array.from({ length: 5 }, () => lab.create()));
      const clients = await Promise.all(Array.from({ length: 10 }, () => dataSource.driver.obtainMasterConnection()));
      const waits = await Promise.all(clients.map(([client]) => client.query('SHOW lock_timeout')));
      for (const [, release] of clients) release();
      expect(new Set(waits.map(({ rows }) => rows[0].lock_timeout))).toEqual(new Set(['0']));
    });

    it('[batch] go in the order of their hashes, so that no two statements wait for each other', async () => {
      await lab.database.query('CREATE TABLE noted (place serial, hash bytea)');
      await lab.database.query(
        'CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO noted (hash) VALUES (NEW.token_hash); RETURN NEW; END $$',
      );
      await lab.database.query('CREATE TRIGGER note BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION note()');
      try {
        expect(await lab.kindsOf(() => lab.createMany(20))).toEqual(['inserts']);
        const rows = await lab.database.query<{ hash: Buffer }>('SELECT hash FROM noted ORDER BY place');
        expect(rows).toHaveLength(20);
        expect(rows).toEqual(rows.toSorted((one, other) => one.hash.compare(other.hash)));
      } finally {
        await lab.database.query('DROP TRIGGER note ON sessions');
        await lab.database.query('DROP FUNCTION note');
        await lab.database.query('DROP TABLE noted');
      }
    });

    it('[batch] whose answer is lost are not sent again: the marks tell that they happened', async () => {
      let dropped = 0;
      lab.proxy.dropAnswerTo = (sql) => isShared(sql, 'INSERT') && dropped++ === 0;
      const kinds = await lab.kindsOf(() => lab.createMany(5));
      expect(kinds.sort()).toEqual(['inserts', 'look', 'look', 'look', 'look', 'look']);
      expect(await lab.rows()).toHaveLength(5);
    });

    it('[batch] whose connection is lost before they happened are unknown, and not sent again', async () => {
      lab.proxy.beforeStatement = (sql) => {
        if (isShared(sql, 'INSERT')) lab.proxy.mode = 'refuse';
      };
      const kinds = await lab.kindsOf(async () => {
        const outcomes = Promise.allSettled(Array.from({ length: 3 }, () => lab.create()));
        await new Promise((resolve) => setTimeout(resolve, 300));
        lab.proxy.mode = 'pass';
        for (const one of await outcomes)
          expect(one).toMatchObject({ status: 'rejected', reason: { failure: 'unknown' } });
      });
      expect(kinds.filter((kind) => kind !== 'look')).toEqual(['inserts']);
    });

    it('[batch] of a transaction of the application go alone', async () => {
      const kinds = await lab.kindsOf(() =>
        lab.dataSources[0]!.transaction(async (manager) => {
          const { store } = lab.store.join!(manager);
          for (const session of [newSession(), newSession()]) await store.create(session);
        }),
      );
      expect(kinds).toEqual(['INSERT', 'INSERT']);
    });

    it('[batch] [functions] are calls of functions where these are there, and of none elsewhere', () => {
      expect([...lab.called]).toEqual(functions ? expect.arrayContaining(['create', 'create_many']) : []);
    });
  });

  describe('updates of one turn', () => {
    const lab = useBatchLab({ functions });

    it('[batch] share one UPDATE', async () => {
      const refs = await lab.createMany(40);
      const kinds = await lab.kindsOf(async () => {
        const outcomes = await Promise.all(
          refs.map((ref, n) => lab.store.update(ref, delta({ mine: n, 'q"\\\u2028': ['ü'] }, ['n', 'absent']), NEVER)),
        );
        expect(outcomes.map(({ status }) => status)).toEqual(refs.map(() => 'applied'));
      });
      expect(kinds).toEqual(['updates']);
      const found = await lab.store.find(refs.map(({ tokenHash }) => tokenHash));
      const marks = await lab.database.query('SELECT DISTINCT last_write FROM sessions');
      expect([found.length, marks.length]).toEqual([40, 40]);
      for (const [n, ref] of refs.entries()) {
        const { version, data } = await lab.row(ref);
        expect([version, data]).toEqual([2, { mine: n, 'q"\\\u2028': ['ü'] }]);
      }
    });

    it('[batch] answer the expiry of each, and move it only where that is due', async () => {
      const [due, early, known] = (await lab.createMany(3)) as [SessionRef, SessionRef, SessionRef];
      await lab.database.query(
        `UPDATE sessions SET touched_at = now() - interval '30 minutes', expires_at = now() + interval '10 minutes'`,
      );
      const before = (await lab.row(early)).touched_at;
      const [moved, ...kept] = await Promise.all([
        lab.store.update(due, delta({ a: 1 }), 60_000),
        lab.store.update(early, delta({ a: 1 }), NEVER),
        lab.store.update(known, delta({ a: 1 }), Infinity),
      ]);
      const inTenMinutes = { expiresAt: expect.closeTo(Date.now() + 600_000, -5) };
      expect(moved).toMatchObject({ expiresAt: expect.closeTo(Date.now() + 3_600_000, -5) });
      expect(kept).toMatchObject([inTenMinutes, inTenMinutes]);
      expect([(await lab.row(early)).touched_at, (await lab.row(known)).touched_at]).toEqual([before, before]);
    });

    it('[batch] of which none is due leave the columns of the expiry alone', async () => {
      const refs = await lab.createMany(3);
      const kinds = await lab.kindsOf(() =>
        Promise.all(refs.map((ref) => lab.store.update(ref, delta({ a: 1 }), Infinity))),
      );
      expect(kinds).toEqual(['updates']);
      expect(lab.proxy.sessionStatements[0]).not.toContain('"touched_at"');
    });

    it('[batch] leave one that has no company to a statement of its own', async () => {
      const ref = await lab.create();
      expect(await lab.kindsOf(() => lab.update(ref, { a: 1 }))).toEqual(['UPDATE']);
    });

    it('[batch] say of each what became of it', async () => {
      const [live, deleted, replaced, expired, stolen] = (await lab.createMany(5)) as [
        SessionRef,
        SessionRef,
        SessionRef,
        SessionRef,
        SessionRef,
      ];
      await lab.store.delete(deleted);
      await lab.store.replace(replaced, { tokenHash: Buffer.alloc(32, 1), isUnsent: false }, delta({}), NEVER);
      await lab.database.query(`UPDATE sessions SET expires_at = now() WHERE id = $1`, [expired.id]);
      const refs = [live, deleted, replaced, expired, { id: stolen.id, tokenHash: live.tokenHash }];
      const outcomes = await Promise.all(refs.map((ref) => lab.update(ref, { evil: true })));
      expect(outcomes).toEqual(['applied', 'gone', 'replaced', 'gone', 'replaced']);
      const written = (await lab.rows()).filter(({ data }) => data.evil).map(({ id }) => id);
      expect(written).toEqual([live.id]);
    });

    it('[batch] of one session are never in one statement, but in one after the other', async () => {
      const refs = await lab.createMany(3);
      const keys = ['a', 'b', 'c', 'd'];
      const kinds = await lab.kindsOf(() =>
        Promise.all(keys.flatMap((key) => refs.map((ref) => lab.update(ref, { [key]: true })))),
      );
      expect(kinds).toEqual(keys.map(() => 'updates'));
      for (const [n, ref] of refs.entries()) {
        const { version, data } = await lab.row(ref);
        expect([version, data]).toEqual([5, { n, a: true, b: true, c: true, d: true }]);
      }
    });

    it('[batch] do not fail with a neighbour whose values the database refuses', async () => {
      const refs = await lab.createMany(4);
      const outcomes = await Promise.allSettled(
        refs.map((ref, n) => lab.store.update(ref, { set: { a: n === 2 ? '"\\u0000"' : '1' }, unset: [] }, NEVER)),
      );
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
      expect(outcomes[2]).toMatchObject({ reason: { failure: 'refused', reason: '22P05' } });
      expect((await lab.rows()).map(({ data }) => data.a).filter(Boolean)).toEqual([1, 1, 1]);
    });

    it('[batch] do not wait for a row that somebody else has locked', async () => {
      const refs = await lab.createMany(5);
      const [locked, ...others] = refs;
      let isLocked = true;
      let late!: Promise<string>;
      await whileLocked(lab.database, `SELECT id FROM sessions WHERE id = '${locked!.id}' FOR UPDATE`, async () => {
        late = lab.update(locked!, { a: 1 }).then((status) => `${status}, locked: ${isLocked}`);
        expect(await Promise.all(others.map((ref) => lab.update(ref, { a: 1 })))).toEqual(others.map(() => 'applied'));
        // Nor do those that come after it.
        expect(await Promise.all(others.map((ref) => lab.update(ref, { a: 2 })))).toEqual(others.map(() => 'applied'));
        isLocked = false;
      });
      expect(await late).toBe('applied, locked: false');
    });

    it('[batch] whose answer is lost are not sent again: the marks tell that they happened', async () => {
      const refs = await lab.createMany(5);
      let dropped = 0;
      lab.proxy.dropAnswerTo = (sql) => isShared(sql) && dropped++ === 0;
      const kinds = await lab.kindsOf(async () => {
        const outcomes = await Promise.all(refs.map((ref) => lab.update(ref, { a: 1 })));
        expect(outcomes).toEqual(refs.map(() => 'applied'));
      });
      expect(kinds.sort()).toEqual(['look', 'look', 'look', 'look', 'look', 'updates']);
      expect((await lab.rows()).map(({ version }) => version)).toEqual([2, 2, 2, 2, 2]);
    });

    it('[batch] whose connection is lost before they happened are unknown, and not sent again', async () => {
      const refs = await lab.createMany(3);
      lab.proxy.beforeStatement = (sql) => {
        if (isShared(sql)) lab.proxy.mode = 'refuse';
      };
      const kinds = await lab.kindsOf(async () => {
        const outcomes = Promise.allSettled(refs.map((ref) => lab.update(ref, { a: 1 })));
        await new Promise((resolve) => setTimeout(resolve, 300));
        lab.proxy.mode = 'pass';
        for (const one of await outcomes)
          expect(one).toMatchObject({ status: 'rejected', reason: { failure: 'unknown' } });
      });
      expect(kinds.filter((kind) => kind !== 'look')).toEqual(['updates']);
    });

    it('[batch] of a transaction of the application go alone', async () => {
      const refs = await lab.createMany(3);
      const kinds = await lab.kindsOf(() =>
        lab.dataSources[0]!.transaction(async (manager) => {
          const { store } = lab.store.join!(manager);
          await Promise.all(refs.map((ref) => lab.update(ref, { a: 1 }, store)));
          await Promise.all(refs.map(({ tokenHash }) => store.find([tokenHash])));
        }),
      );
      expect(kinds).toEqual(['UPDATE', 'UPDATE', 'UPDATE', 'SELECT', 'SELECT', 'SELECT']);
    });

    it('[batch] [functions] are calls of functions where these are there, and of none elsewhere', () => {
      expect([...lab.called]).toEqual(functions ? expect.arrayContaining(['update', 'update_many']) : []);
    });
  });

  describe('touches of one turn', () => {
    const lab = useBatchLab({ functions });

    it('[batch] share one UPDATE without the data, and what is not due is not moved', async () => {
      const refs = await lab.createMany(5);
      const [early, ...due] = refs;
      await lab.database.query(`UPDATE sessions SET touched_at = touched_at - interval '1 hour' WHERE id <> $1`, [
        early!.id,
      ]);
      const before = (await lab.row(early!)).touched_at;
      lab.proxy.reset();
      const outcomes = await Promise.all(refs.map((ref) => lab.store.touch(ref, 60_000)));
      expect(outcomes.map((outcome) => outcome?.status)).toEqual([undefined, ...due.map(() => 'applied')]);
      expect(lab.kinds).toEqual(['touches', 'UPDATE']);
      expect(lab.proxy.sessionStatements[0]).not.toContain('"data"');
      expect((await lab.row(early!)).touched_at).toEqual(before);
      expect((await lab.rows()).map(({ version }) => version)).toEqual([1, 1, 1, 1, 1]);
    });
  });

  for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
    describe(`12 writers on 40 sessions, ${isolation}`, () => {
      const lab = useBatchLab({ functions, settings: [`default_transaction_isolation = '${isolation}'`] });

      it('[batch] lose nothing, and never wait for each other', async () => {
        const refs = await lab.createMany(40);
        const stores = [lab.store, await lab.open(15_000), await lab.open(15_000)];
        const rounds = 4;
        const write = async (writer: number) => {
          const store = stores[writer % stores.length]!;
          for (let round = 1; round <= rounds; round++) {
            const order = refs.toSorted(() => Math.random() - 0.5).slice(0, 20);
            const written = new Set(order);
            await Promise.all(order.map((ref) => lab.update(ref, { [`writer${writer}`]: round }, store)));
            // The rest in a batch of its own, so that batches overlap in part.
            const rest = refs.filter((ref) => !written.has(ref));
            await Promise.all(rest.map((ref) => lab.update(ref, { [`writer${writer}`]: round }, store)));
          }
        };
        await Promise.all(Array.from({ length: 12 }, (_, writer) => write(writer)));
        const everyone = Object.fromEntries(Array.from({ length: 12 }, (_, writer) => [`writer${writer}`, rounds]));
        for (const [n, ref] of refs.entries()) {
          expect(await lab.row(ref)).toMatchObject({ version: 1 + 12 * rounds, data: { n, ...everyone } });
        }
        const [{ deadlocks } = {}] = await lab.database.query<{ deadlocks: string }>(
          'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
        );
        expect(deadlocks).toBe('0');
        expect(lab.called.has('update_many')).toBe(functions);
      });
    });
  }
}
