import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { PLATFORMS } from '../support/app.js';
import type { Client } from '../support/client.js';
import { barrier, Gate, outcomeOf, REPLACED, times, type Step } from '../support/lab.js';
import { useMoveLab, type MoveLab } from '../support/move-lab.js';
import { OLD_SECRET } from '../support/old-node.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const entries: Step<Record<string, unknown>> = (session) => Object.fromEntries(session.entries());

/** What express-session would send for an id. */
function oldCookie(id: string, secret: string): string {
  const signature = createHmac('sha256', secret).update(id).digest('base64').replace(/=+$/, '');
  return `connect.sid=${encodeURIComponent(`s:${id}.${signature}`)}`;
}

const names = (client: Client) => client.cookie.split('; ').map((pair) => pair.split('=')[0]);
const eventsOf = (lab: MoveLab) => lab.nodes.flatMap(({ events }) => events);
const migrated = (lab: MoveLab) => eventsOf(lab).filter(({ type }) => type === 'migrated');

describe.each(PLATFORMS)('a visitor with the cookie of express-session on %s', (platform) => {
  const lab = useMoveLab(platform);

  it('[move: carried over] has data and sign-in here, and a cookie of ours with the response of a read', async () => {
    const visitor = lab.at(await lab.signedInVisitor(), 0);
    const reply = await lab.act(visitor, entries);
    expect(reply.body.value).toEqual({ cart: ['sencha'], passport: { user: 'ann' } });
    expect(reply.setCookies).toEqual([expect.stringMatching(/^sid=.*Max-Age=1209600;/)]);
    expect(reply.headers.get('cache-control')).toBe('no-store');
    expect(names(visitor)).toEqual(['connect.sid', 'sid']);
    // From here on it is a session like any other.
    expect(await lab.data(lab.at(visitor, 1))).toEqual({ cart: ['sencha'], passport: { user: 'ann' } });
    await lab.value(visitor, (session) => session.append('cart', 'assam'));
    expect((await lab.data(lab.at(visitor, 1))).cart).toEqual(['sencha', 'assam']);
    const row = await lab.row();
    expect(row.id).toBe((migrated(lab)[0] as { id: string }).id);
    expect(migrated(lab)).toEqual([{ type: 'migrated', id: row.id, lost: [] }]);
    // Neither the id nor the cookie stand in the row.
    const [{ sid }] = (await lab.oldRows()) as unknown as [{ sid: string }];
    expect(JSON.stringify(row)).not.toContain(sid);
  });

  it('[move: carried over] lives as long as it would have there, and no longer than ours do', async () => {
    const visitor = lab.at(await lab.oldVisitor(), 0);
    const moved = Date.now();
    await lab.data(visitor);
    const row = await lab.row();
    // express-session itself loses a millisecond now and then.
    expect(Math.abs(Number(row.idle_timeout) - HOUR)).toBeLessThan(10);
    expect(Math.abs(row.expires_at.getTime() - moved - HOUR)).toBeLessThan(30_000);
    expect(Math.abs(row.absolute_expires_at.getTime() - moved - 14 * DAY)).toBeLessThan(30_000);
    expect(row.persistent).toBe(true);

    await lab.database.query('DELETE FROM sessions');
    await lab.database.query(
      `UPDATE session SET sess = jsonb_set(sess::jsonb, '{cookie}', '{"originalMaxAge":null,"expires":null}')`,
    );
    const reply = await lab.act(lab.at(lab.atOld(visitor), 0), entries);
    expect(reply.status).toBe(200);
    const other = lab.client();
    other.cookie = visitor.cookie.split('; ')[0]!;
    const issued = (await lab.act(other, entries)).setCookies;
    expect(issued).toEqual([expect.not.stringContaining('Max-Age')]);
    const browserOnly = await lab.row();
    expect([Number(browserOnly.idle_timeout), browserOnly.persistent]).toEqual([DAY, false]);
  });

  it('[move: any answer] gets the cookie with every status, and where the session is not looked at', async () => {
    for (const path of ['/quiet', '/none']) {
      const visitor = lab.at(await lab.oldVisitor(), 0);
      const reply = await visitor.get(path);
      // No guard runs where there is no route.
      expect(reply.setCookies).toHaveLength(path === '/none' ? 0 : 1);
    }
    const failing = lab.at(await lab.oldVisitor({ n: 1 }), 0);
    const reply = await lab.act(failing, () => {
      throw new Error('the handler failed');
    });
    expect([reply.status, reply.setCookies.length]).toEqual([500, 1]);
    expect(await lab.data(lab.at(failing, 1))).toEqual({ n: 1 });
    const skipping = lab.at(await lab.oldVisitor(), 0);
    lab.proxy.reset();
    expect((await skipping.get('/skipped')).setCookies).toEqual([]);
    expect(lab.proxy.statements).toEqual([]);
  });

  it('[move: one session] makes one session of twenty requests at once, on two nodes', async () => {
    const visitor = await lab.signedInVisitor();
    const tabs = await times(20, async (index) => lab.at(visitor, index));
    const all = barrier(20);
    const replies = await Promise.all(
      tabs.map((tab) =>
        lab.act(tab, async (session) => {
          await all();
          await session.append('cart', 'assam');
          return session.id;
        }),
      ),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(200));
    const row = await lab.row();
    expect(new Set(replies.map(({ body }) => body.value))).toEqual(new Set([row.id]));
    expect(row.data.cart).toHaveLength(21);
    expect(new Set(tabs.map((tab) => tab.cookie)).size).toBe(1);
    expect(migrated(lab)).toHaveLength(1);
  });

  it('[move: one session] a late answer of its first page does not undo a sign-in', async () => {
    const visitor = await lab.oldVisitor();
    const gate = new Gate();
    const slow = lab.at(visitor, 0);
    const late = lab.act(slow, async (session) => {
      await gate.pass();
      return session.id;
    });
    await gate.reached;
    const quick = lab.at(visitor, 1);
    await lab.value(quick, (session) => session.login('ann', { keep: ['cart'] }));
    gate.open();
    expect((await late).setCookies).toEqual([]);
    expect(names(quick)).toEqual(['sid']);
    expect(await lab.value(quick, (session) => session.userId)).toBe('ann');
    // And who comes with the old cookie now is refused for a while, and then a stranger.
    const again = lab.at(visitor, 0);
    expect(outcomeOf(await lab.act(again, (session) => session.set('a', 1)))).toEqual(REPLACED);
    await lab.alter(`previous_token_until = now() - interval '1 second'`);
    expect(await lab.data(lab.at(visitor, 0))).toEqual({});
    expect(await lab.rows()).toHaveLength(1);
    expect(await lab.oldRows()).toEqual([]);
  });

  it('[move: bad cookies] asks nobody for a cookie with a bad signature, and for none', async () => {
    const visitor = await lab.oldVisitor();
    const [{ sid }] = (await lab.oldRows()) as unknown as [{ sid: string }];
    const good = visitor.cookie;
    expect(decodeURIComponent(oldCookie(sid, OLD_SECRET))).toBe(decodeURIComponent(good));
    const bad = [
      '',
      oldCookie(sid, 'another secret'),
      good.slice(0, -1),
      `${good.slice(0, -2)}AA`,
      `connect.sid=${sid}`,
      `connect.sid=s%3A${sid}`,
      `connect.sid=s%3A.${'A'.repeat(43)}`,
      'connect.sid=',
      'connect.sid=%E0%A4%A',
      oldCookie('x'.repeat(300), OLD_SECRET),
      good.replace('connect.sid', 'Connect.sid'),
    ];
    for (const cookie of bad) {
      const client = lab.client();
      client.cookie = cookie;
      lab.proxy.reset();
      const reply = await lab.act(client, entries);
      expect([cookie, reply.body.value, reply.setCookies]).toEqual([cookie, {}, []]);
      expect(lab.proxy.statements).toEqual([]);
    }
    // Spelled otherwise, but good.
    for (const cookie of [decodeURIComponent(good), `connect.sid=junk; ${good}`, good.replace(/=(.*)$/, '="$1"')]) {
      const client = lab.client();
      client.cookie = cookie;
      expect(await lab.data(client)).toEqual({ cart: ['sencha'] });
    }
  });

  it('[move: bad cookies] takes an expired or unknown old session for nobody', async () => {
    const visitor = await lab.oldVisitor();
    await lab.database.query(`UPDATE session SET expire = now() - interval '1 second'`);
    const reply = await lab.act(lab.at(visitor, 0), entries);
    expect([reply.body.value, reply.setCookies]).toEqual([{}, []]);
    const stranger = lab.client();
    stranger.cookie = oldCookie('never-seen', OLD_SECRET);
    expect(await lab.data(stranger)).toEqual({});
    expect(await lab.rows()).toEqual([]);
    // Who has none starts a session as ever.
    await lab.value(stranger, (session) => session.set('a', 1));
    expect(await lab.data(lab.at(stranger, 1))).toEqual({ a: 1 });
  });

  it('[move: keys] leaves behind what a session here cannot have, says so, and goes on', async () => {
    const odd = {
      $set: 1,
      big: 2 ** 53,
      deep: JSON.parse(`${'['.repeat(20)}${']'.repeat(20)}`) as unknown,
      huge: 'x'.repeat(70_000),
    };
    const visitor = lab.at(await lab.signedInVisitor('ann', { cart: ['sencha'], ...odd }), 0);
    const reply = await lab.act(visitor, entries);
    expect([reply.status, reply.body.value]).toEqual([200, { cart: ['sencha'], passport: { user: 'ann' } }]);
    const [event] = migrated(lab) as unknown as [{ lost: string[] }];
    expect(event.lost.toSorted()).toEqual(Object.keys(odd).toSorted());
  });

  it('[move: sign-out here] ends the old session too, and its cookie', async () => {
    const visitor = lab.at(await lab.signedInVisitor(), 0);
    const before = visitor.cookie;
    await lab.data(visitor);
    await lab.value(visitor, (session) => session.destroy());
    expect(visitor.cookie).toBe('');
    expect(await lab.oldRows()).toEqual([]);
    const thief = lab.client();
    thief.cookie = before;
    expect(await lab.data(thief)).toEqual({});
    expect(await lab.oldData(thief)).toEqual({});
    expect(await lab.rows()).toEqual([]);
  });

  it('[move: sign-out here] ends an old session that is not its own, if the browser has its cookie', async () => {
    const visitor = await lab.visitor({ ours: 1 });
    const elsewhere = await lab.signedInVisitor();
    visitor.cookie = `${visitor.cookie}; ${elsewhere.cookie}`;
    expect(await lab.data(visitor)).toEqual({ ours: 1 });
    await lab.value(visitor, (session) => session.destroy());
    expect([visitor.cookie, await lab.oldRows()]).toEqual(['', []]);
  });

  it('[move: sign-in here] renews the token, and the old session ends', async () => {
    for (const renew of [
      (session) => session.login('ann', { keep: ['cart'] }),
      (session) => session.regenerate(),
    ] as Step[]) {
      const visitor = lab.at(await lab.oldVisitor(), 0);
      await lab.data(visitor);
      await lab.value(visitor, renew);
      expect(names(visitor)).toEqual(['sid']);
      expect(await lab.oldRows()).toEqual([]);
      // What has no old session any more does not ask for it.
      expect(await lab.data(lab.at(visitor, 1))).toEqual({ cart: ['sencha'] });
      lab.proxy.reset();
      await lab.data(visitor);
      expect(lab.proxy.statements).toHaveLength(1);
    }
  });

  it('[move: sign-out there] ends the session here, on all nodes', async () => {
    for (const forget of [false, true]) {
      const visitor = lab.at(await lab.signedInVisitor(), 0);
      await lab.data(visitor);
      const both = visitor.cookie;
      const atOld = lab.atOld(visitor);
      await atOld.post('/sign-out');
      const after = lab.at(atOld, 1);
      expect(names(after)).toEqual(['sid']);
      // The browser may have dropped the old cookie or not.
      if (!forget) after.cookie = both;
      const reply = await lab.act(after, entries);
      expect([reply.body.value, reply.setCookies]).toEqual([{}, []]);
      expect(await lab.rows()).toEqual([]);
      expect(eventsOf(lab).filter(({ type }) => type === 'migration-ended')).toHaveLength(1);
      for (const node of lab.nodes) node.events.splice(0);
    }
  });

  it('[move: sign-in there] moves the session that the sign-in has made, in place of the one before', async () => {
    const visitor = lab.at(await lab.oldVisitor({ cart: ['sencha'] }), 0);
    await lab.data(visitor);
    const { id } = await lab.row();
    const atOld = lab.atOld(visitor);
    await atOld.post('/sign-in', { user: 'ann' });
    const tabs = await times(10, async (index) => lab.at(atOld, index));
    const seen = await Promise.all(tabs.map((tab) => lab.data(tab)));
    expect(seen).toEqual(Array(10).fill({ cart: ['sencha'], passport: { user: 'ann' } }));
    expect((await lab.row()).id).not.toBe(id);
    expect(new Set(tabs.map((tab) => tab.cookie)).size).toBe(1);
  });

  it('[move: sign-in there] notices one that keeps the id', async () => {
    const visitor = lab.at(await lab.oldVisitor({ cart: ['sencha'] }), 0);
    await lab.data(visitor);
    await lab.atOld(visitor).post('/data', { passport: { user: 'ann' } });
    expect(await lab.data(lab.at(visitor, 1))).toEqual({ cart: ['sencha'], passport: { user: 'ann' } });
    await lab.atOld(visitor).post('/data', { passport: {} });
    expect(await lab.data(lab.at(visitor, 1))).toEqual({ cart: ['sencha'], passport: {} });
    expect(await lab.rows()).toHaveLength(1);
  });

  it('[move: side by side] what the other side writes after the move stays there', async () => {
    const visitor = lab.at(await lab.oldVisitor(), 0);
    await lab.value(visitor, (session) => session.append('cart', 'assam'));
    await lab.atOld(visitor).post('/data', { cart: ['sencha', 'oolong'] });
    expect(await lab.data(visitor)).toEqual({ cart: ['sencha', 'assam'] });
    expect(await lab.oldData(visitor)).toEqual({ cart: ['sencha', 'oolong'] });
  });

  it('[move: side by side] keeps the old session alive for as long as ours is used', async () => {
    const visitor = lab.at(await lab.oldVisitor(), 0);
    await lab.data(visitor);
    const left = async () => ((await lab.oldRows())[0]?.expire.getTime() ?? 0) - Date.now();
    expect(await left()).toBeGreaterThan(HOUR);
    await lab.database.query(`UPDATE session SET expire = now() + interval '50 minutes'`);
    await lab.data(visitor);
    expect(await left()).toBeGreaterThan(HOUR);
    // And not with every request.
    lab.proxy.reset();
    await lab.data(visitor);
    expect(lab.proxy.statements.filter((sql) => sql.startsWith('UPDATE'))).toEqual([]);
    // Where the row says that it has expired, ours has too: nobody is signed in by one of them alone.
    await lab.database.query(`UPDATE session SET expire = now() - interval '1 second'`);
    expect(await lab.data(visitor)).toEqual({});
  });

  it('[move: ended here] does not move again what has expired or was deleted here', async () => {
    const visitor = lab.at(await lab.signedInVisitor(), 0);
    await lab.data(visitor);
    const oldOnly = lab.client();
    oldOnly.cookie = visitor.cookie.split('; ').find((pair) => pair.startsWith('connect.sid'))!;
    await lab.alter(`expires_at = now() - interval '1 second'`);
    for (const client of [visitor, oldOnly]) expect(await lab.data(client)).toEqual({});
    await lab.database.query('DELETE FROM sessions');
    expect(await lab.data(visitor)).toEqual({});
    // A sign-out clears both.
    await lab.value(visitor, (session) => session.destroy());
    expect([visitor.cookie, await lab.oldRows()]).toEqual(['', []]);
  });

  it('[move: outage] is none where the old table cannot be read: 503, and signed in when it can', async () => {
    const visitor = lab.at(await lab.signedInVisitor(), 0);
    const moved = lab.at(await lab.signedInVisitor('bob'), 0);
    await lab.data(moved);
    const both = moved.cookie;
    await lab.database.query('ALTER TABLE session RENAME TO away');
    for (const client of [visitor, moved]) {
      const reply = await lab.act(client, entries);
      expect([outcomeOf(reply), reply.setCookies]).toEqual([[503, 'SESSION_UNAVAILABLE'], []]);
      expect((await client.get('/quiet')).status).toBe(200);
    }
    expect(await lab.rows()).toHaveLength(1);
    await lab.database.query('ALTER TABLE away RENAME TO session');
    expect((await lab.data(visitor)).passport).toEqual({ user: 'ann' });
    expect((await lab.data(moved)).passport).toEqual({ user: 'bob' });
    expect(moved.cookie).toBe(both);
  });

  it('[move: outage] of the old table keeps a sign-out from being half done', async () => {
    const visitor = lab.at(await lab.signedInVisitor(), 0);
    await lab.data(visitor);
    const reply = await lab.act(visitor, async (session) => {
      await lab.database.query('ALTER TABLE session RENAME TO away');
      await session.destroy();
    });
    expect(reply.status).toBeGreaterThanOrEqual(500);
    await lab.database.query('ALTER TABLE away RENAME TO session');
    expect((await lab.data(visitor)).passport).toEqual({ user: 'ann' });
    await lab.value(visitor, (session) => session.destroy());
    expect([await lab.rows(), await lab.oldRows()]).toEqual([[], []]);
  });

  it('[move: statements] asks once more while the old session lives', async () => {
    const visitor = lab.at(await lab.oldVisitor(), 0);
    await lab.data(visitor);
    lab.proxy.reset();
    await lab.data(visitor);
    expect(lab.proxy.statements.filter((sql) => sql.includes('"session"'))).toHaveLength(1);
    expect(lab.verbs).toEqual(['SELECT']);
    // Without the old cookie too: who steals ours alone cannot outlive a sign-out.
    visitor.cookie = visitor.cookie.split('; ').find((pair) => pair.startsWith('sid'))!;
    lab.proxy.reset();
    await lab.data(visitor);
    expect(lab.proxy.statements.filter((sql) => sql.includes('"session"'))).toHaveLength(1);
  });

  it('[move: clear] stays tied to the old session', async () => {
    const visitor = lab.at(await lab.oldVisitor(), 0);
    await lab.value(visitor, (session) => session.clear());
    expect(await lab.data(visitor)).toEqual({});
    await lab.atOld(visitor).post('/sign-out');
    expect(await lab.data(visitor)).toEqual({});
    expect(await lab.rows()).toEqual([]);
  });
});

describe.each(PLATFORMS)('after the last day of the move on %s', (platform) => {
  let soon: Date;
  const lab = useMoveLab(platform, {
    from: {
      // When the nodes start, and not when the file is read.
      get until() {
        return (soon = new Date(Date.now() + 5_000));
      },
    },
  });

  it('[move: until] looks at no old cookie any more, and goes on with what has moved', async () => {
    const moved = lab.at(await lab.signedInVisitor(), 0);
    const late = lab.at(await lab.signedInVisitor('bob'), 0);
    expect((await lab.data(moved)).passport).toEqual({ user: 'ann' });
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, soon.getTime() - Date.now()) + 50));
    lab.proxy.reset();
    expect(await lab.data(late)).toEqual({});
    expect(lab.proxy.statements).toEqual([]);
    expect((await lab.data(moved)).passport).toEqual({ user: 'ann' });
    expect(lab.proxy.statements.filter((sql) => sql.includes('"session"'))).toEqual([]);
  });
});

describe('the user of a session that moves', () => {
  const userId = ({ passport }: Readonly<Record<string, unknown>>) => (passport as { user?: string } | undefined)?.user;
  const lab = useMoveLab('express', { from: { userId } });

  it('[move: user] is that of the session', async () => {
    const visitor = lab.at(await lab.signedInVisitor(), 0);
    expect(await lab.value(visitor, (session) => session.userId)).toBe('ann');
    expect((await lab.row()).user_id).toBe('ann');
  });
});
