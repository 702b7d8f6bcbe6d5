import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Session, SessionData } from 'express-session';
import type { ExpressSessionStore } from 'nestjs-typeorm-session/express-session';
import type { DataSource } from 'typeorm';
import { DATABASES, type OpenDatabase } from '../support/databases.js';
import { answered, openExpressStore, sidOf, startSite, type Site } from './site.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Milliseconds that a time in a row may be off what a test computes. */
const SLACK = 5_000;

for (const kind of DATABASES.filter(({ session }) => !session)) {
  if (kind.missing) console.warn(`${kind.name}: skipped, as there is ${kind.missing}`);
  const describeIt = kind.missing ? describe.skip : describe;

  describeIt(`The store for express-session in ${kind.name} on express`, () => {
    jest.setTimeout(30_000);
    let database: OpenDatabase;
    let dataSource: DataSource;
    let store: ExpressSessionStore;
    let site: Site;

    beforeAll(async () => {
      database = await kind.create();
      ({ dataSource, store } = await openExpressStore(database.typeorm, { entity: kind.entity, deadline: '15s' }));
      site = await startSite(store);
    });
    beforeEach(async () => {
      await dataSource.getRepository(kind.entity).clear();
      site.errors.splice(0);
    });
    afterAll(async () => {
      await site?.close();
      await store?.close();
      await dataSource?.destroy();
      await database?.drop();
    });

    const rows = () => dataSource.getRepository(kind.entity).find();
    const onlyRow = async () => {
      const [row, ...others] = await rows();
      expect(others).toEqual([]);
      return row!;
    };
    const visitor = async (values: object = { a: 1 }) => {
      const client = site.client();
      expect((await site.act(client, (req) => void Object.assign(req.session, values))).status).toBe(200);
      return client;
    };
    const seen = async (client: ReturnType<Site['client']>) => {
      const { body } = await site.act(client, (req) => req.session);
      const { cookie: _, ...rest } = body as { cookie: object };
      return rest;
    };
    const millisecondsTo = (time: unknown) => Number(new Date(time as string)) - Date.now();

    it('[express: round trip] keeps what a request leaves in req.session, and knows of the id the SHA-256', async () => {
      expect(await rows()).toEqual([]);
      const client = await visitor({ a: 1, nested: { list: [1, { b: null }] }, when: new Date(0) });
      expect(await seen(client)).toEqual({
        a: 1,
        nested: { list: [1, { b: null }] },
        when: '1970-01-01T00:00:00.000Z',
      });
      const row = await onlyRow();
      expect(row.tokenHash).toEqual(createHash('sha256').update(sidOf(client)).digest());
      expect(row.data).toMatchObject({ a: 1, cookie: { path: '/', originalMaxAge: null } });
      expect(JSON.stringify(row)).not.toContain(sidOf(client));
    });

    it('[express: round trip] inserts nothing before there is something to keep', async () => {
      const client = site.client();
      expect((await site.act(client, (req) => ({ id: req.session.id }))).setCookies).toEqual([]);
      expect(await rows()).toEqual([]);
    });

    it('[express: merge] writes the difference: two requests at once change different keys, and both survive', async () => {
      const client = await visitor({ a: 1, b: 1, gone: true });
      let bothLoaded = (): void => undefined;
      const loaded = new Promise<void>((resolve) => (bothLoaded = resolve));
      let count = 0;
      const change = (key: string) =>
        site.act(client, async (req) => {
          if (++count === 2) bothLoaded();
          await loaded;
          req.session[key] = 2;
          if (key === 'b') delete req.session.gone;
        });
      await Promise.all([change('a'), change('b')]);
      expect(await seen(client)).toEqual({ a: 2, b: 2 });
      expect(site.errors).toEqual([]);
    });

    it('[express: merge] does not undo a nested change of a key that this request has only read', async () => {
      const client = await visitor({ cart: { items: [1] }, last: 'home' });
      await site.act(client, async (req) => {
        expect(req.session.cart).toEqual({ items: [1] });
        await site.act(client, (other) => void (other.session.cart as { items: number[] }).items.push(2));
        req.session.last = 'cart';
      });
      expect(await seen(client)).toEqual({ cart: { items: [1, 2] }, last: 'cart' });
    });

    it('[express: merge] a second save in one request writes what has changed since the first', async () => {
      const client = site.client();
      await site.act(client, async (req) => {
        req.session.a = 1;
        req.session.b = 1;
        await answered((done) => req.session.save(done));
        const [row] = await rows();
        await changePast(row!.id, { a: 5 });
        req.session.b = 2;
        await answered((done) => req.session.save(done));
        req.session.c = 3;
      });
      expect(await seen(client)).toEqual({ a: 5, b: 2, c: 3 });
    });

    /** Past the library. */
    async function changePast(id: string, values: object): Promise<void> {
      const repository = dataSource.getRepository(kind.entity);
      const row = await repository.findOneByOrFail({ id });
      row.data = { ...row.data, ...values };
      await repository.save(row);
    }

    it('[express: merge] reload sees what others wrote, and saves the difference to that', async () => {
      const client = await visitor({ a: 1, b: 1 });
      await site.act(client, async (req) => {
        await site.act(client, (other) => void (other.session.a = 2));
        req.session.b = 'lost by the reload';
        await answered((done) => req.session.reload(done));
        expect(req.session).toMatchObject({ a: 2, b: 1 });
        req.session.b = 2;
      });
      expect(await seen(client)).toEqual({ a: 2, b: 2 });
    });

    it('[express: never back] a save after the session was destroyed brings nothing back and says so', async () => {
      const client = await visitor();
      let outcome: unknown;
      await site.act(client, async (req) => {
        await site.act(client, (other) => answered((done) => other.session.destroy(done)));
        req.session.a = 2;
        outcome = await answered((done) => req.session.save(done)).catch((error: unknown) => error);
        delete (req as { session?: unknown }).session;
      });
      expect(outcome).toMatchObject({ name: 'ExpressSessionError', code: 'SESSION_GONE', status: 401 });
      expect(await rows()).toEqual([]);
    });

    it('[express: never back] nor one after it has expired', async () => {
      const client = await visitor();
      let outcome: unknown;
      await site.act(client, async (req) => {
        await dataSource
          .createQueryBuilder()
          .update(kind.entity)
          .set({ expiresAt: new Date(0) })
          .execute();
        req.session.a = 2;
        outcome = await answered((done) => req.session.save(done)).catch((error: unknown) => error);
      });
      expect(outcome).toMatchObject({ code: 'SESSION_GONE' });
      expect((await onlyRow()).data).toMatchObject({ a: 1 });
      expect(await answered((done) => store.length(done))).toBe(0);
    });

    it('[express: never back] nor a session that was generated, destroyed and then saved in one request', async () => {
      const outcomes: unknown[] = [];
      await site.act(site.client(), async (req) => {
        const first = req.session;
        first.a = 1;
        await answered((done) => first.regenerate(done));
        outcomes.push(await answered((done) => first.save(done)).catch((error: unknown) => error));
        const second = req.session;
        second.a = 1;
        const saved = answered((done) => second.save(done)).catch((error: unknown) => error);
        await answered((done) => second.destroy(done));
        await saved;
        outcomes.push(await answered((done) => second.save(done)).catch((error: unknown) => error));
      });
      expect(outcomes).toMatchObject([{ code: 'SESSION_GONE' }, { code: 'SESSION_GONE' }]);
      expect(await rows()).toEqual([]);
    });

    it('[express: never back] a save without changes is no failure then', async () => {
      const client = await visitor();
      await site.act(client, async (req) => {
        await site.act(client, (other) => answered((done) => other.session.destroy(done)));
        await answered((done) => req.session.save(done));
      });
      expect(await rows()).toEqual([]);
      expect(site.errors).toEqual([]);
    });

    it('[express: foreign] refuses copies, which could undo or bring back anything', async () => {
      const client = await visitor();
      const sid = sidOf(client);
      const mine = await answered<SessionData>((done) => store.get(sid, done));
      const copy = { ...mine, a: 2 };
      const refused = { code: 'SESSION_FOREIGN' };
      await expect(answered((done) => store.set(sid, copy, done))).rejects.toMatchObject(refused);
      await expect(answered((done) => store.set('another id', mine, done))).rejects.toMatchObject(refused);
      await answered((done) => store.destroy(sid, done));
      await expect(answered((done) => store.set(sid, copy, done))).rejects.toMatchObject(refused);
      expect(await rows()).toEqual([]);
    });

    it('[express: foreign] takes the object that get handed out', async () => {
      const client = await visitor({ a: 1, b: 1 });
      const mine = await answered<SessionData>((done) => store.get(sidOf(client), done));
      await site.act(client, (req) => void (req.session.b = 2));
      mine.a = 2;
      await answered((done) => store.set(sidOf(client), mine, done));
      expect(await seen(client)).toEqual({ a: 2, b: 2 });
    });

    it('[express: regenerate] ends the old id, and begins with a new row and an empty session', async () => {
      const client = await visitor();
      const [old, { id }] = [client.cookie, await onlyRow()];
      await site.act(client, async (req) => {
        await answered((done) => req.session.regenerate(done));
        req.session.user = 'Ann';
      });
      expect(await seen(client)).toEqual({ user: 'Ann' });
      expect((await onlyRow()).id).not.toBe(id);
      const thief = site.client();
      thief.cookie = old;
      expect(await seen(thief)).toEqual({});
    });

    it('[express: idle] lives for maxAge where the cookie has one, and as long as idleTimeout where it has none', async () => {
      await visitor();
      const { idleTimeout, persistent, expiresAt, absoluteExpiresAt } = await onlyRow();
      expect([idleTimeout, Boolean(persistent)]).toEqual([DAY, false]);
      expect(Math.abs(millisecondsTo(expiresAt) - DAY)).toBeLessThan(SLACK);
      expect(Math.abs(millisecondsTo(absoluteExpiresAt) - 400 * DAY)).toBeLessThan(SLACK);
    });

    it('[express: idle] a new maxAge arrives in the row, also a shorter one, and also where nothing else has changed', async () => {
      const client = await visitor();
      await site.act(client, (req) => void (req.session.cookie.maxAge = 30 * DAY));
      const month = await onlyRow();
      expect(Math.abs(month.idleTimeout - 30 * DAY)).toBeLessThan(SLACK);
      expect(Math.abs(millisecondsTo(month.expiresAt) - 30 * DAY)).toBeLessThan(SLACK);
      expect(Boolean(month.persistent)).toBe(true);

      await site.act(client, (req) => {
        req.session.cookie.maxAge = HOUR;
        req.session.a = 2;
      });
      const hour = await onlyRow();
      expect(Math.abs(millisecondsTo(hour.expiresAt) - HOUR)).toBeLessThan(SLACK);
      expect(hour.data).toMatchObject({ a: 2 });
      expect(hour.absoluteExpiresAt).toEqual(month.absoluteExpiresAt);

      const { body } = await site.act(client, (req) => ({ left: req.session.cookie.maxAge }));
      expect(Math.abs((body as { left: number }).left - HOUR)).toBeLessThan(SLACK);
    });

    it('[express: idle] writes nothing where a request changes nothing, however often it saves', async () => {
      const client = await visitor();
      await site.act(client, (req) => void (req.session.cookie.maxAge = HOUR));
      const before = await onlyRow();
      for (let request = 0; request < 20; request++) {
        await site.act(client, (req) => answered((done) => req.session.save(done)));
      }
      expect(await onlyRow()).toEqual(before);
    });

    it('[express: idle] a session that is used lives on', async () => {
      const brief = await startSite((await openExpressStoreAgain({ touchAfter: 20, idleTimeout: '2s' })).store, {
        rolling: true,
      });
      const client = brief.client();
      await brief.act(client, (req) => void (req.session.a = 1));
      for (let request = 0; request < 6; request++) {
        await delay(400);
        const { body } = await brief.act(client, (req) => ({ a: req.session.a }));
        expect(body).toEqual({ a: 1 });
      }
      await delay(2_300);
      expect((await brief.act(client, (req) => ({ a: req.session.a ?? 'gone' }))).body).toEqual({ a: 'gone' });
      await brief.close();
    });

    /** On the same data source: a second store beside the first. */
    async function openExpressStoreAgain(options: object): Promise<{ store: ExpressSessionStore }> {
      const { ExpressSessionStore: Again } = await import('nestjs-typeorm-session/express-session');
      return { store: new Again(dataSource, { entity: kind.entity, cleanup: false, deadline: '15s', ...options }) };
    }

    it('[express: values] refuses what not every database gives back, with the path and without the value', async () => {
      const client = await visitor();
      const outcomes: unknown[] = [];
      await site.act(client, async (req) => {
        const save = () => answered((done) => req.session.save(done)).catch((error: unknown) => error);
        req.session.bad = { text: 'secret\0' };
        outcomes.push(await save());
        delete req.session.bad;
        req.session.$mine = 1;
        outcomes.push(await save());
        delete req.session.$mine;
        req.session.large = 'x'.repeat(70_000);
        outcomes.push(await save());
        delete req.session.large;
        req.session.a = 2;
      });
      expect(outcomes).toMatchObject([{ code: 'SESSION_VALUE' }, { code: 'SESSION_KEY' }, { code: 'SESSION_VALUE' }]);
      expect(String(outcomes[0])).toContain('$.bad.text');
      expect(String(outcomes[0])).not.toContain('secret');
      expect(await seen(client)).toEqual({ a: 2 });
    });

    it('[express: administration] all, length and clear know live sessions, and clear takes every row', async () => {
      await visitor({ a: 1 });
      await visitor({ a: 2 });
      await visitor({ a: 3 });
      const { id } = (await rows())[0]!;
      await dataSource
        .createQueryBuilder()
        .update(kind.entity)
        .set({ expiresAt: new Date(0) })
        .where({ id })
        .execute();
      expect(await answered((done) => store.length(done))).toBe(2);
      const all = await answered<SessionData[]>((done) => store.all(done));
      expect(all).toHaveLength(2);
      expect(all[0]).toMatchObject({ a: expect.any(Number), cookie: { originalMaxAge: null } });
      await answered((done) => store.clear(done));
      expect(await rows()).toEqual([]);
      expect(await answered((done) => store.length(done))).toBe(0);
    });

    it('[express: round trip] load hands out a session that can be saved', async () => {
      const client = await visitor({ a: 1 });
      const loaded = await answered<Session & SessionData>((done) => store.load(sidOf(client), done));
      loaded.a = 2;
      await answered((done) => loaded.save(done));
      expect(await seen(client)).toEqual({ a: 2 });
    });
  });
}
