import { InternalServerErrorException } from '@nestjs/common';
import { describe, expect, it, jest } from '@jest/globals';
import type { Session } from 'nestjs-typeorm-session';
import { PLATFORMS } from '../support/app.js';
import type { Client } from '../support/client.js';
import { Gate, GONE, outcomeOf, times, useLab } from '../support/lab.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe.each(PLATFORMS)('expiry on %s', (platform) => {
  const lab = useLab(platform);

  const isLive = (client: Client) => lab.value(client, (session) => !session.isNew);

  /** The times of the only row. Dates have milliseconds; what has to stay the same is compared as text, to the microsecond. */
  const clocks = async () => {
    const [row] = await lab.database.query<{ expires: string; absolute: string; touched: string; version: number }>(
      `SELECT expires_at::text AS expires, absolute_expires_at::text AS absolute, touched_at::text AS touched, version
       FROM sessions`,
    );
    return row!;
  };

  /** Milliseconds from now, by the database's clock, until the session ends. */
  const remaining = async () => {
    const [row] = await lab.database.query<{ ms: number }>(
      'SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 * 1000 AS ms FROM sessions',
    );
    return row!.ms;
  };

  /** As if the session had been made, and touched last, that long ago. */
  const age = (milliseconds: number) =>
    lab.alter(
      `touched_at = touched_at - $1 * interval '1 ms', created_at = created_at - $1 * interval '1 ms',
       expires_at = expires_at - $1 * interval '1 ms', absolute_expires_at = absolute_expires_at - $1 * interval '1 ms'`,
      [milliseconds],
    );

  describe('by the defaults', () => {
    it('[answer: defaults] a fresh session has 1 day idle and 14 days in all, and its cookie lasts as long', async () => {
      const reply = await lab.act(lab.client(), (session) => session.set('a', 1));
      const [span] = await lab.database.query(
        `SELECT extract(epoch FROM expires_at - created_at)::float8 * 1000 AS idle,
           extract(epoch FROM absolute_expires_at - created_at)::float8 * 1000 AS absolute,
           touched_at = created_at AS "isTouched", idle_timeout::float8 AS "idleTimeout", persistent FROM sessions`,
      );
      expect(span).toEqual({ idle: DAY, absolute: 14 * DAY, isTouched: true, idleTimeout: DAY, persistent: true });
      expect(reply.setCookies).toEqual([
        expect.stringMatching(/^sid=[\w-]{43}; Path=\/; Max-Age=1209600; HttpOnly; SameSite=Lax$/),
      ]);
    });

    it('[answer: defaults] Max-Age is what is left of the absolute lifetime, not what was granted', async () => {
      const client = await lab.visitor();
      await age(20 * HOUR);
      await lab.value(client, (session) => session.touch());
      const [line] = (await lab.act(client, (session) => session.regenerate())).setCookies;
      const left = Number(/Max-Age=(\d+)/.exec(line!)![1]);
      expect(14 * 86_400 - 20 * 3_600 - left).toBeGreaterThanOrEqual(0);
      expect(14 * 86_400 - 20 * 3_600 - left).toBeLessThan(30);
    });
  });

  describe('by the clock of the database', () => {
    it('[line 6] a session lives until its moment, and not beyond, with no clean-up run', async () => {
      const client = await lab.visitor({ a: 1 });
      await lab.alter(`expires_at = clock_timestamp() + interval '150 ms'`);
      expect(await isLive(client)).toBe(true);
      await lab.database.query(
        `SELECT pg_sleep(greatest(0, extract(epoch FROM expires_at - clock_timestamp()))) FROM sessions`,
      );
      for (const node of [0, 1]) expect(await isLive(lab.at(client, node))).toBe(false);
      expect(await lab.rows()).toHaveLength(1);
      await lab.alter(`expires_at = clock_timestamp() - interval '150 ms'`);
      expect(await isLive(client)).toBe(false);
    });

    it('[line 6] one that ends while the request runs is gone for its writes', async () => {
      const client = await lab.visitor({ a: 1 });
      const gate = new Gate();
      const pending = lab.act(client, async (session) => {
        session.set('late', 1);
        await gate.pass();
      });
      await gate.reached;
      await lab.alter(`expires_at = clock_timestamp()`);
      gate.open();
      expect(outcomeOf(await pending)).toEqual(GONE);
      expect((await lab.row()).data).toEqual({ a: 1 });
    });

    it('[line 6] one that ends while its write waits for another one is gone', async () => {
      const client = await lab.visitor({ a: 1 });
      const holdsLock = `SELECT 1 FROM pg_locks WHERE relation = 'sessions'::regclass AND mode = 'RowExclusiveLock'`;
      const writes = [
        (session: Session) => session.set('late', 1),
        (session: Session) => session.take('a'),
        (session: Session) => session.regenerate(),
      ];
      for (const write of writes) {
        // Locks the row, and once somebody waits for it, lets the session end before it lets go.
        const other = lab.database.query(`
          DO $$ BEGIN
            UPDATE sessions SET last_write = last_write;
            WHILE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
              LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001); END LOOP;
            UPDATE sessions SET expires_at = clock_timestamp() + interval '5 ms';
            PERFORM pg_sleep(0.006);
          END $$`);
        while ((await lab.database.query(holdsLock)).length === 0);
        expect(outcomeOf(await lab.act(client, write))).toEqual(GONE);
        await other;
        expect((await lab.row()).data).toEqual({ a: 1 });
        await lab.alter(`expires_at = clock_timestamp() + interval '1 hour'`);
      }
    });

    it.each([-400, -1, 1, 400])(
      '[line 6] and not by the clock of the node, which is %i days off here',
      async (days) => {
        const client = await lab.visitor({ a: 1 });
        const now = Date.now();
        const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + days * DAY);
        try {
          expect(await isLive(client)).toBe(true);
          const newcomer = await lab.visitor({ b: 1 });
          const [, row] = await lab.rows();
          expect(Math.abs(row!.expires_at.getTime() - now - DAY)).toBeLessThan(HOUR);
          await lab.value(newcomer, (session) => session.login('ann'));
          expect(await isLive(newcomer)).toBe(true);
          await lab.alter(`expires_at = clock_timestamp() - interval '1 ms'`);
          expect([await isLive(client), await isLive(newcomer)]).toEqual([false, false]);
        } finally {
          clock.mockRestore();
        }
      },
    );

    it('[line 6] tells the session when it ends', async () => {
      const client = await lab.visitor();
      const { expires_at: expiresAt } = await lab.row();
      expect(await lab.value(client, (session) => session.expiresAt?.getTime())).toBe(expiresAt.getTime());
      expect(await lab.value(lab.client(), (session) => session.expiresAt ?? null)).toBeNull();
    });
  });

  describe('the absolute end', () => {
    it('[line 6] is set by the INSERT and by login, and moved by nothing else', async () => {
      const client = await lab.visitor({ n: 0, list: [] });
      await age(2 * HOUR);
      const { absolute } = await clocks();
      const steps: ((session: Session) => unknown)[] = [
        (session) => session.set('n', 1),
        (session) => session.touch(),
        (session) => (session.set('m', 1), session.save()),
        (session) => session.increment('n'),
        (session) => session.append('list', 1),
        (session) => session.setIfAbsent('new', 1),
        (session) => session.update('n', (n: number) => n + 1),
        (session) => session.take('new'),
        (session) => session.flash('notice', 'x'),
        (session) => session.clear(),
        ...Array.from({ length: 20 }, () => (session: Session) => session.regenerate()),
      ];
      for (const step of steps) {
        await lab.value(client, (session) => void step(session));
        // Due again, so that each of them has a touch to do as well.
        await lab.alter(`touched_at = touched_at - interval '2 hours'`);
        expect((await clocks()).absolute).toBe(absolute);
      }
      await lab.value(client, (session) => session.login('ann'));
      const [row] = await lab.database.query<{ ms: number }>(
        'SELECT extract(epoch FROM absolute_expires_at - touched_at)::float8 * 1000 AS ms FROM sessions',
      );
      expect(row!.ms).toBe(14 * DAY);
      expect((await clocks()).absolute > absolute).toBe(true);
    });

    it('[line 6] is never passed by the idle end', async () => {
      const client = await lab.visitor({ a: 1 });
      await age(2 * HOUR);
      await lab.alter(`absolute_expires_at = clock_timestamp() + interval '10 minutes',
                       expires_at = clock_timestamp() + interval '5 minutes'`);
      for (const step of [(session: Session) => session.touch(), (session: Session) => session.set('a', 2)]) {
        await lab.value(client, step);
        const { expires, absolute } = await clocks();
        expect(expires).toBe(absolute);
      }
      await lab.value(client, (session) => session.regenerate());
      expect(await remaining()).toBeLessThan(600_000);
    });

    it('[line 6] is never passed where both are the same, whatever order the columns have', async () => {
      const swap = async () => {
        await lab.database.query('ALTER TABLE sessions RENAME COLUMN expires_at TO swapped');
        await lab.database.query('ALTER TABLE sessions RENAME COLUMN absolute_expires_at TO expires_at');
        await lab.database.query('ALTER TABLE sessions RENAME COLUMN swapped TO absolute_expires_at');
      };
      for (let round = 0; round < 2; round++) {
        await swap();
        for (const idleTimeout of ['1h', '2h']) {
          await lab.value(await lab.visitor(), (session) =>
            session.login('ann', { idleTimeout, absoluteTimeout: '1h' }),
          );
        }
        const passed = await lab.database.query(
          'SELECT expires_at - absolute_expires_at FROM sessions WHERE expires_at > absolute_expires_at',
        );
        expect(passed).toEqual([]);
      }
    });
  });

  describe('touch', () => {
    const read = (session: Session) => session.get('a') as unknown;

    /** Counts changes of rows on the server, whatever statements were sent. */
    const countChanges = async (during: () => Promise<unknown>) => {
      await lab.database.query(`
        CREATE TABLE changes (at timestamptz DEFAULT clock_timestamp());
        CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql
          AS $$ BEGIN INSERT INTO changes DEFAULT VALUES; RETURN NULL; END $$;
        CREATE TRIGGER note_change AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION note_change()`);
      try {
        await during();
        return (await lab.database.query('SELECT * FROM changes')).length;
      } finally {
        await lab.database.query('DROP FUNCTION note_change CASCADE; DROP TABLE changes');
      }
    };

    it('[answer: touch] is due after a twentieth of the idle timeout, and is one UPDATE with no cookie', async () => {
      const client = await lab.visitor({ a: 1 });
      await age(71 * 60_000);
      expect(await lab.verbsOf(client, read)).toEqual(['SELECT']);
      await age(60_000);
      const before = await clocks();
      lab.proxy.reset();
      const reply = await lab.act(client, read);
      expect([lab.verbs, reply.setCookies]).toEqual([['SELECT', 'UPDATE'], []]);
      const after = await clocks();
      expect(after).toMatchObject({ absolute: before.absolute, version: before.version });
      expect(after.expires > before.expires).toBe(true);
      expect(DAY - (await remaining())).toBeLessThan(30_000);
      // Once, and then not for a while.
      expect(await lab.verbsOf(client, read)).toEqual(['SELECT']);
      expect(await clocks()).toEqual(after);
    });

    it('[answer: touch] of 40 parallel reads changes one row once', async () => {
      const client = await lab.visitor({ a: 1 });
      await age(2 * HOUR);
      const changes = await countChanges(async () => {
        const replies = await times(40, (index) => lab.act(lab.at(client, index), read));
        expect(replies.map(({ body }) => body.value)).toEqual(Array(40).fill(1));
      });
      expect(changes).toBe(1);
      expect((await lab.row()).version).toBe(1);
    });

    it('[answer: touch] comes with a data write when due, in the same UPDATE, and not before', async () => {
      const client = await lab.visitor({ a: 1 });
      const fresh = await clocks();
      expect(await lab.verbsOf(client, (session) => session.set('a', 2))).toEqual(['SELECT', 'UPDATE']);
      expect(await clocks()).toEqual({ ...fresh, version: 2 });
      await age(2 * HOUR);
      const due = await clocks();
      const change = (session: Session) => session.set('a', (session.get('a') as number) + 1);
      expect(await lab.verbsOf(client, change)).toEqual(['SELECT', 'UPDATE']);
      expect((await clocks()).expires > due.expires).toBe(true);
      expect(DAY - (await remaining())).toBeLessThan(30_000);
      // A regeneration does the same.
      await age(2 * HOUR);
      expect(await lab.verbsOf(client, (session) => session.regenerate())).toEqual(['SELECT', 'UPDATE']);
      expect(DAY - (await remaining())).toBeLessThan(30_000);
    });

    it('[answer: touch] is left to the edge by an atomic operation', async () => {
      const client = await lab.visitor({ n: 1 });
      const fresh = await clocks();
      await lab.value(client, (session) => session.increment('n'));
      expect(await clocks()).toEqual({ ...fresh, version: 2 });
      await age(2 * HOUR);
      expect(await lab.verbsOf(client, (session) => session.increment('n'))).toEqual(['SELECT', 'UPDATE', 'UPDATE']);
      expect(DAY - (await remaining())).toBeLessThan(30_000);
    });

    it('[answer: touch] by hand moves the idle end now, and is no change of the data', async () => {
      const client = await lab.visitor({ a: 1 });
      await age(60_000);
      const before = await clocks();
      const expiresAt = await lab.value(client, async (session) => {
        const old = session.expiresAt!;
        await session.touch();
        return [old.getTime(), session.expiresAt!.getTime()];
      });
      const after = await clocks();
      expect(after).toMatchObject({ absolute: before.absolute, version: 1 });
      expect(expiresAt[1]! - expiresAt[0]!).toBeGreaterThanOrEqual(60_000);
      expect(DAY - (await remaining())).toBeLessThan(30_000);
    });

    it('[answer: touch] does not shorten, revive, or answer for itself', async () => {
      const client = await lab.visitor({ a: 1 });
      await age(2 * HOUR);
      await lab.alter(`expires_at = absolute_expires_at`);
      const before = await clocks();
      await lab.value(client, (session) => session.touch());
      expect((await clocks()).expires).toBe(before.expires);
      const gate = new Gate();
      const pending = lab.act(client, async (session) => {
        session.keys();
        await gate.pass();
        await session.touch();
        return 'fine';
      });
      await gate.reached;
      await lab.alter('expires_at = clock_timestamp()');
      const expired = await clocks();
      gate.open();
      const reply = await pending;
      expect([...outcomeOf(reply), reply.body.value]).toEqual([200, undefined, 'fine']);
      expect(await clocks()).toEqual(expired);
    });

    it('[answer: touch] is for who looked at the session, and not for a handler that failed', async () => {
      const client = await lab.visitor({ a: 1 });
      await age(2 * HOUR);
      expect(await lab.verbsOf(client, () => 'did not look')).toEqual(['SELECT']);
      const fail = (session: Session) => {
        session.keys();
        throw new InternalServerErrorException();
      };
      expect(await lab.verbsOf(client, fail)).toEqual(['SELECT']);
      const looks: ((session: Session) => unknown)[] = [
        (session) => session.get('a'),
        (session) => session.has('a'),
        (session) => session.keys(),
        (session) => session.isNew,
        (session) => session.userId,
      ];
      for (const look of looks) {
        expect([String(look), await lab.verbsOf(client, look)]).toEqual([String(look), ['SELECT', 'UPDATE']]);
        await age(2 * HOUR);
      }
    });
  });
});

describe.each(PLATFORMS)('timeouts of an application on %s', (platform) => {
  const lab = useLab(platform, {
    session: { idleTimeout: '30m', absoluteTimeout: '12h', touchAfter: '10s', persistent: false },
  });

  it('[line 6] [answer: touch] are its own', async () => {
    const client = lab.client();
    const reply = await lab.act(client, (session) => session.set('a', 1));
    expect(reply.setCookies).toEqual([expect.stringMatching(/^sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)]);
    const row = await lab.row();
    expect(row.expires_at.getTime() - row.touched_at.getTime()).toBe(HOUR / 2);
    expect(row.absolute_expires_at.getTime() - row.touched_at.getTime()).toBe(12 * HOUR);
    await lab.alter(`touched_at = touched_at - interval '11 seconds'`);
    expect(await lab.verbsOf(client, (session) => session.keys())).toEqual(['SELECT', 'UPDATE']);
    expect(await lab.verbsOf(client, (session) => session.keys())).toEqual(['SELECT']);
  });
});
