import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Controller, Get, Inject, Module, type DynamicModule, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { SessionEntity, SessionModule, type SessionErrorCode } from 'nestjs-typeorm-session';
import * as prettier from 'prettier';
import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import ts from 'typescript';
import { describeError } from '../libs/session/src/core/errors.js';
import { parseDuration } from '../libs/session/src/core/duration.js';
import { resolveOptions, touchAfterOf } from '../libs/session/src/core/resolve-options.js';
import { splitOptions } from '../libs/session/src/nest/session.options.js';
import { createAdapter } from '../src/platform.js';
import { PLATFORMS, startApp, type TestApp, type TestAppOptions } from './support/app.js';
import { Client, type Reply } from './support/client.js';
import { createDatabase, migrate, type TestDatabase } from './support/database.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

/** The code of the README by the name in the comment above it: `<!-- run: name -->`. */
const EXAMPLES = new Map(
  [...README.matchAll(/^<!-- run: (\S+) -->\n\n```\w+\n([^]*?)^```$/gm)].map(([, name, code]) => [name!, code!]),
);
const TYPESCRIPT = [...EXAMPLES.keys()].filter((name) => name !== 'curl');

const { options: compilerOptions } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config,
  ts.sys,
  ROOT,
);

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Every export of an example. */
type Exports = Record<string, Type> & { default: unknown };

// Read by some examples when they are loaded or started.
process.env.SESSION_SECRET = 'a secret of the test, thirty-two bytes long';

describe('the code in the README', () => {
  it('is marked to be run, all of it', () => {
    expect(README.match(/^```ts$/gm)).toHaveLength(TYPESCRIPT.length);
  });

  it('compiles as the strictest of applications would compile it', () => {
    expect(compile(TYPESCRIPT)).toEqual([]);
  }, 60_000);

  it('is told apart from code that does not compile', () => {
    EXAMPLES.set('wrong', "import { Sesion } from 'nestjs-typeorm-session';\nexport const no: number = 'text';\n");
    const complaints = compile(['wrong']);
    EXAMPLES.delete('wrong');
    expect(complaints).toHaveLength(2);
  }, 60_000);
});

describe.each(PLATFORMS)('the examples of the README on %s', (platform) => {
  let database: TestDatabase;
  let folder: string;
  let app: TestApp | undefined;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    folder = writeExamples();
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await database?.drop();
  });

  const load = (name: string) => import(join(folder, `${name.replace(/\.ts$/, '')}.mjs`)) as Promise<Exports>;
  const start = async (options: Omit<TestAppOptions, 'platform' | 'databaseUrl'>) => {
    app = await startApp({ platform, databaseUrl: database.url, ...options });
    return app.client();
  };

  it('add sessions to an application in four steps', async () => {
    const empty = await createDatabase();
    process.env.DATABASE_URL = empty.url;
    const nodes: INestApplication[] = [];
    try {
      const { AppModule } = await load('adopt/app.module.ts');
      const boot = async () => {
        const options = { logger: false, abortOnError: false } as const;
        const node = await NestFactory.create<INestApplication>(AppModule!, createAdapter(platform), options);
        nodes.push(node);
        await node.listen(0, '127.0.0.1');
        return node.getUrl();
      };
      await expect(boot()).rejects.toThrow(/"sessions" does not exist.*CreateSessions1764000000000/);

      const { default: ormconfig } = await load('adopt/ormconfig.ts');
      await runMigrations(ormconfig as DataSource);
      const [nodeA, nodeB] = [await boot(), await boot()];
      const visitor = new Client(nodeA);
      const cart = async (client: Client) =>
        (await client.get<{ items: { sku: string }[]; coupon: string | null; user: string | null }>('/cart')).body;
      const nothing = { items: [], coupon: null, user: null };
      const put = (client: Client, sku: string) => client.post('/cart/items', { sku, quantity: 1 });

      expect(await cart(visitor)).toEqual(nothing);
      expect(visitor.cookie).toBe('');
      expect(await empty.query('SELECT id FROM sessions')).toEqual([]);

      await put(visitor, 'sencha');
      await Promise.all([put(visitor, 'oolong'), put(visitor.at(nodeB), 'matcha')]);
      await visitor.post('/cart/coupon', { code: 'TEA' });
      const { items, coupon } = await cart(visitor.at(nodeB));
      expect([items.map(({ sku }) => sku).sort(), coupon]).toEqual([['matcha', 'oolong', 'sencha'], 'TEA']);

      const old = visitor.at(nodeB);
      expect((await visitor.post('/cart/sign-in', { name: 'Ann' })).setCookies).toHaveLength(1);
      expect(await cart(visitor.at(nodeB))).toEqual({ items, coupon: null, user: 'Ann' });
      expect(await cart(old)).toEqual(nothing);
      expect((await visitor.post('/cart/sign-out')).status).toBe(204);
      expect(visitor.cookie).toBe('');
      expect(await empty.query('SELECT id FROM sessions')).toEqual([]);
    } finally {
      for (const node of nodes) await node.close().catch(() => undefined);
      await empty.drop();
    }
  });

  it('add the table to a database whose own migrations are newer', async () => {
    const grown = await createDatabase();
    class OwnTable4000000000000 implements MigrationInterface {
      readonly name = 'OwnTable4000000000000';
      up = (runner: QueryRunner) => runner.query('CREATE TABLE own (id integer)');
      down = (runner: QueryRunner) => runner.query('DROP TABLE own');
    }
    await runMigrations(new DataSource({ type: 'postgres', url: grown.url, migrations: [OwnTable4000000000000] }));
    await migrate(grown.url);
    expect(await grown.query('SELECT id FROM sessions')).toEqual([]);
    await grown.drop();
  });

  it('take options from a factory', async () => {
    const { sessions } = await load('async');
    const { DecoratorController } = await load('doors');
    const client = await start({
      sessionModule: sessions as unknown as DynamicModule,
      controllers: [DecoratorController!],
    });
    await client.get('/decorator');
    expect(client.cookie).toMatch(/^sid=[\w-]{43}\.[\w-]{43}$/);
    const [row] = await database.query<{ idle: string }>(
      'SELECT idle_timeout AS idle FROM sessions ORDER BY created_at DESC LIMIT 1',
    );
    expect(Number(row!.idle)).toBe(30 * MINUTE);
  });

  it('open three doors to one session', async () => {
    const { DecoratorController, ServiceController, VisitCounter } = await load('doors');
    const client = await start({
      controllers: [DecoratorController!, ServiceController!, counterController(VisitCounter!)],
      providers: [VisitCounter!],
      session: { currentSession: true },
    });
    expect((await client.get('/decorator')).body).toEqual({ visits: 1 });
    expect((await client.get('/service')).body).toEqual({ visits: 2 });
    expect((await client.get('/counter')).body).toEqual({ visits: 3 });
    expect((await client.get('/decorator/visits')).body).toEqual({ visits: 3 });
  });

  it('define req.session', async () => {
    const { VisitController } = await load('request-session');
    const client = await start({ controllers: [VisitController!], session: { guardAll: false, requestSession: true } });
    await client.post('/visit/cart', { sku: 'sencha' });
    await client.post('/visit/cart', { sku: 'matcha' });
    expect((await client.get('/visit')).body).toEqual({ cart: ['sencha', 'matcha'], user: null });
    const { cookie } = client;
    const reply = await client.post('/visit/sign-in', { name: 'Ann' });
    expect(reply.setCookies[0]).toMatch(maxAgeOf(30 * DAY));
    expect(client.cookie).not.toBe(cookie);
    expect((await client.get('/visit')).body).toEqual({ cart: [], user: 'Ann' });
  });

  it('check values by a class', async () => {
    const { Profile, ProfileController } = await load('typed');
    const client = await start({ controllers: [ProfileController!], session: { schema: Profile! } });
    expect((await client.get('/profile')).body).toEqual({ nickname: 'nobody' });
    expect(await client.post('/profile')).toMatchObject({ status: 500, body: { code: 'SESSION_VALUE' } });
  });

  it('sign in, remember or not, change the token, and sign out with a message', async () => {
    const { AccountController } = await load('account');
    const { ProfileController } = await load('flash');
    const client = await start({ controllers: [AccountController!, ProfileController!] });
    const session = async () => {
      const [row] = await database.query<{ id: string; user_id: string; persistent: boolean; idle: string }>(
        'SELECT id, user_id, persistent, idle_timeout AS idle FROM sessions ORDER BY touched_at DESC LIMIT 1',
      );
      return { ...row!, idle: Number(row!.idle) };
    };

    const remembered = await client.post('/account/sign-in', { name: 'Ann', remember: true });
    expect([remembered.status, remembered.headers.get('location')]).toEqual([303, '/']);
    expect(remembered.setCookies[0]).toMatch(maxAgeOf(90 * DAY));
    expect(await session()).toMatchObject({ user_id: 'Ann', persistent: true, idle: 30 * DAY });

    const shared = await client.post('/account/sign-in', { name: 'Ben' });
    expect(shared.setCookies[0]).not.toContain('Max-Age');
    const signedIn = await session();
    expect(signedIn).toMatchObject({ user_id: 'Ben', persistent: false, idle: 30 * MINUTE });

    const { cookie } = client;
    await client.post('/account/password');
    expect(client.cookie).not.toBe(cookie);
    expect(await session()).toEqual(signedIn);

    await client.post('/account/sign-out');
    const { id, user_id } = await session();
    expect(id).not.toBe(signedIn.id);
    expect(user_id).toBeNull();
    expect((await client.get('/profile')).body).toEqual({ notices: ['You are signed out.'] });
  });

  it('flash a message once', async () => {
    const { ProfileController } = await load('flash');
    const client = await start({ controllers: [ProfileController!] });
    expect((await client.post('/profile')).headers.get('location')).toBe('/profile');
    expect((await client.get('/profile')).body).toEqual({ notices: ['Saved.'] });
    expect((await client.get('/profile')).body).toEqual({ notices: [] });
  });

  it('require a user, skip, and open the session in a guard', async () => {
    const { OrdersController, StaffGuard } = await load('guards');
    const { AccountController } = await load('account');
    const client = await start({ controllers: [OrdersController!, AccountController!], providers: [StaffGuard!] });
    expect(await client.get('/orders')).toMatchObject({ status: 401, body: { code: 'SESSION_REQUIRED' } });
    expect(await client.get('/orders/health')).toMatchObject({ status: 200, text: 'ok' });
    await client.post('/account/sign-in', { name: 'Ann' });
    expect((await client.get('/orders')).body).toEqual({ ordersOf: 'Ann' });
    expect((await client.get('/orders/all')).status).toBe(403);
    await database.query(`UPDATE sessions SET data = '{"staff": true}'`);
    expect((await client.get('/orders/all')).body).toEqual([]);
  });

  it('go on in a stream', async () => {
    const { ExportController } = await load('streams');
    const client = await start({ controllers: [ExportController!] });
    const reply = await client.get('/export');
    expect([reply.status, reply.text]).toEqual([200, 'sku,quantity\nsencha,2\n']);
    expect(reply.setCookies).toHaveLength(1);
    const [row] = await database.query<{ data: object }>('SELECT data FROM sessions ORDER BY created_at DESC LIMIT 1');
    expect(row!.data).toEqual({ started: expect.any(String), lines: 2 });
  });

  it('clean up from a command', async () => {
    const { cleanUp } = (await load('cleanup')) as unknown as { cleanUp(module: Type): Promise<number> };
    const { DecoratorController } = await load('doors');
    const client = await start({ controllers: [DecoratorController!] });
    await client.get('/decorator');
    await database.query("UPDATE sessions SET expires_at = now() - interval '1 second'");
    const expired = (await database.query('SELECT id FROM sessions')).length;
    const quiet = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      expect(await cleanUp(command(database.url))).toBe(expired);
    } finally {
      quiet.mockRestore();
    }
    expect(await database.query('SELECT id FROM sessions')).toEqual([]);
  });

  it('keep an entity of their own', async () => {
    const { sessions } = await load('entity');
    const { DecoratorController } = await load('doors');
    const own = await createDatabase();
    app = await startApp({
      platform,
      databaseUrl: own.url,
      // In the place of the migration that an application would generate.
      typeorm: { synchronize: true },
      sessionModule: sessions as unknown as DynamicModule,
      controllers: [DecoratorController!],
    });
    await app.client().get('/decorator');
    expect(await own.query('SELECT data, tenant FROM visits')).toEqual([{ data: { visits: 1 }, tenant: null }]);
    await app.close();
    app = undefined;
    await own.drop();
  });

  it('empty the cart with the order that was made of it, or neither', async () => {
    await database.query('CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, items text)');
    const { CheckoutController } = await load('transaction');
    const { CartController } = await load('adopt/cart.controller.ts');
    const client = await start({ controllers: [CheckoutController!, CartController!] });
    await client.post('/cart/items', { sku: 'sencha', quantity: 1 });
    const { body } = await client.post<{ order: number }>('/checkout');
    expect(await database.query('SELECT id FROM orders')).toEqual([{ id: body.order }]);
    expect((await client.get('/cart')).body).toMatchObject({ items: [] });

    await database.query('ALTER TABLE orders ADD CHECK (id < 0) NOT VALID');
    await client.post('/cart/items', { sku: 'oolong', quantity: 1 });
    expect((await client.post('/checkout')).status).toBe(500);
    expect((await client.get('/cart')).body).toMatchObject({ items: [{ sku: 'oolong' }] });
    await database.query('DROP TABLE orders');
  });

  it('sign a user out everywhere', async () => {
    const { Devices } = await load('revoke');
    const { AccountController } = await load('account');
    const { OrdersController, StaffGuard } = await load('guards');
    const phone = await start({
      controllers: [AccountController!, OrdersController!],
      providers: [StaffGuard!, Devices!],
      imports: [TypeOrmModule.forFeature([SessionEntity])],
    });
    const laptop = app!.client();
    for (const client of [phone, laptop]) await client.post('/account/sign-in', { name: 'Ann of the two devices' });
    const devices = app!.app.get<{ signOutEverywhere(userId: string): Promise<number> }>(Devices!);
    expect(await devices.signOutEverywhere('Ann of the two devices')).toBe(2);
    for (const client of [phone, laptop]) expect((await client.get('/orders')).status).toBe(401);
  });

  it('show a session with curl, over two processes', async () => {
    process.env.DATABASE_URL = database.url;
    const { createApp } = await import('../src/app.js');
    const nodes = [await createApp(platform), await createApp(platform)];
    for (const node of nodes) await node.listen(0, '127.0.0.1');
    const [nodeA, nodeB] = await Promise.all(nodes.map((node) => node.getUrl()));
    const replies = await runCurl({ 'http://127.0.0.1:3000': nodeA!, 'http://127.0.0.1:3001': nodeB! });
    for (const node of nodes) await node.close();

    expect(replies.map(({ status }) => status)).toEqual([200, 201, 200, 200, 200, 200, 204]);
    expect(replies.map(({ setCookies }) => setCookies.length)).toEqual([0, 1, 0, 1, 0, 0, 1]);
    const [nobody, , cart, signIn, ann, old, signOut] = replies.map(({ body }) => body as Record<string, unknown>);
    expect(nobody).toMatchObject({ signedIn: false, sessionId: null });
    expect(cart).toEqual([{ sku: 'sencha', quantity: 2 }]);
    expect(ann).toMatchObject({ signedIn: true, name: 'Ann', sessionId: signIn!.sessionId });
    expect(old).toMatchObject({ signedIn: false, sessionId: null });
    expect(signOut).toBeUndefined();
    expect(replies.at(-1)!.setCookies[0]).toMatch(/^sid=; .*Max-Age=0/);
  });
});

describe('the tables of the README', () => {
  const options = new Map(tableUnder('Options').map(([name, ...cells]) => [codeIn(name!), cells]));
  const knownTo = (name: string) => {
    // The error for an unknown option lists the ones that there are.
    const sentence = name ? refusalOf({ [name]: { '?': 1 } }) : refusalOf({ '?': 1 });
    return /There are ([^.]+)\./.exec(sentence)![1]!.split(', ');
  };

  it('have every option and no other', () => {
    const groups = ['cookie', 'cleanup', 'cache'];
    const nested = groups.flatMap((group) => knownTo(group).map((name) => `${group}.${name}`));
    const expected = [...Object.keys(splitOptions({}).fixed), ...knownTo(''), ...nested];
    // The cookie is nothing but its parts; the clean-up and the cache are switched off as a whole.
    expect([...options.keys()].sort()).toEqual(expected.filter((name) => name !== 'cookie').sort());
  });

  it('have the defaults that apply', () => {
    const { lifetime, cookie, cleanup, cache, secrets, ...rest } = resolveOptions({}, {});
    const inProduction = resolveOptions({}, { NODE_ENV: 'production' });
    const applied: Record<string, unknown> = {
      guardAll: false,
      currentSession: false,
      requestSession: false,
      expressPrototypes: true,
      ...rest,
      ...lifetime,
    };
    for (const [name, value] of Object.entries(cookie)) applied[`cookie.${name}`] = value;
    for (const [name, value] of Object.entries(cleanup!)) applied[`cleanup.${name}`] = value;
    for (const [name, value] of Object.entries(resolveOptions({ cache: {} }, {}).cache!))
      applied[`cache.${name}`] = value;

    const told = (name: string) => options.get(name)![0]!;
    expect([told('secrets'), secrets]).toEqual(['none', []]);
    expect([told('cookie.name'), cookie.name, inProduction.cookie.name]).toEqual([
      "`'__Host-sid'` or `'sid'`, see below",
      'sid',
      '__Host-sid',
    ]);
    expect([told('cookie.secure'), cookie.secure, inProduction.cookie.secure]).toEqual([
      '`true` where `NODE_ENV` is `production`, else `false`',
      false,
      true,
    ]);
    expect(told('touchAfter')).toBe("idle timeout / 20, at least `'1m'`");
    const touchAfter = [2 * MINUTE, 10 * MINUTE, DAY].map((idle) => touchAfterOf(resolveOptions({}, {}), idle));
    expect(touchAfter).toEqual([MINUTE, MINUTE, DAY / 20]);
    expect(touchAfterOf(resolveOptions({}, {}), MINUTE)).toBe(MINUTE / 2);
    expect([told('cleanup'), cleanup === undefined]).toEqual(['on', false]);
    expect([told('cache'), cache]).toEqual(['off', undefined]);
    expect([told('dataSource'), told('entity')]).toEqual(['the default one', '`SessionEntity`']);

    const special = [
      'secrets',
      'cookie.name',
      'cookie.secure',
      'touchAfter',
      'cleanup',
      'cache',
      'dataSource',
      'entity',
    ];
    for (const name of options.keys()) {
      if (!special.includes(name)) expect([name, valueOf(told(name))]).toEqual([name, applied[name]]);
    }
  });

  it('have the ranges that are checked', () => {
    const ranged = [...options].filter(([, [, range]]) => / to /.test(range!) && !/characters/.test(range!));
    expect(ranged.length).toBeGreaterThan(8);
    for (const [path, [, range]] of ranged) {
      const [group, name] = path.split('.');
      const given = name ? { [group!]: { [name]: 1e15 } } : { [path]: 1e15 };
      const [from, to] = range!.replaceAll('`', '').replaceAll("'", '"').split(' to ');
      const sentence = refusalOf(given);
      const bounds = /Give (?:at least (.+) and at most (.+)|a whole number from (.+) to (.+))\.$/.exec(sentence);
      expect([path, ...bounds!.slice(1).filter(Boolean)]).toEqual([path, from, to]);
    }
  });

  it('have every error and no other, with its status', () => {
    const codes: Record<SessionErrorCode, true> = {
      SESSION_UNAVAILABLE: true,
      SESSION_OUTCOME_UNKNOWN: true,
      SESSION_REQUIRED: true,
      SESSION_GONE: true,
      SESSION_REPLACED: true,
      SESSION_AMBIGUOUS: true,
      SESSION_CONFLICT: true,
      SESSION_COMMITTED: true,
      SESSION_NOT_OPEN: true,
      SESSION_KEY: true,
      SESSION_VALUE: true,
      SESSION_TRANSACTION: true,
      SESSION_FAILED: true,
    };
    const told = tableUnder('Errors').map(([code, status]) => `${codeIn(code!)} ${status}`);
    const thrown = (Object.keys(codes) as SessionErrorCode[]).map((code) => `${code} ${describeError(code).status}`);
    expect(told.sort()).toEqual(thrown.sort());
  });

  it('have the races as they were run, with nothing lost by us and much by the naive store', () => {
    const rows = ['postgres', 'mariadb', 'sqlite'].map((name) => {
      const result = JSON.parse(readFileSync(join(ROOT, `docs/results/race-${name}.json`), 'utf8')) as RaceResult;
      const ours = sumOf(result.operations);
      const naive = sumOf(result.control);
      expect([Object.keys(result.operations).length, ours.lost, ours.duplicated, ours.resurrected]).toEqual([
        8, 0, 0, 0,
      ]);
      expect(Object.values(result.operations).every(({ acknowledged }) => acknowledged >= 2_000)).toBe(true);
      expect(naive.lost * naive.duplicated * naive.resurrected).toBeGreaterThan(0);
      const { acknowledged, lost, duplicated, resurrected, refused } = ours;
      const numbers = [
        acknowledged,
        lost,
        duplicated,
        resurrected,
        refused,
        naive.lost,
        naive.duplicated,
        naive.resurrected,
      ];
      return [Object.entries(result.versions)[0]!.join(' '), ...numbers.map(String)];
    });
    expect(tableUnder('Nothing acknowledged is lost')).toEqual(rows);
  });

  it('have the chaos as it was run, with every harm at 0 where the database keeps what it acknowledges', async () => {
    const { chaosResults, withChaosTable } = (await import(join(ROOT, 'scripts/chaos/table.mjs'))) as {
      chaosResults(folder: string): ChaosResult[];
      withChaosTable(markdown: string, results: ChaosResult[]): string;
    };
    const results = chaosResults(join(ROOT, 'docs/results'));
    const document = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8');
    expect(withChaosTable(document, results)).toBe(document);
    expect(results.length).toBeGreaterThan(0);
    for (const { name, asynchronous, lost, duplicated, resurrected, servedExpired, crossed } of results) {
      if (asynchronous) continue;
      expect({ name, harms: [lost, duplicated, resurrected, servedExpired, crossed] }).toEqual({
        name,
        harms: [0, 0, 0, 0, 0],
      });
    }
  });

  it('have the matrix as it was run, and all of it was well', async () => {
    const { withTable } = (await import(join(ROOT, 'scripts/matrix/table.mjs'))) as {
      withTable(markdown: string, result: object): string;
    };
    const result = JSON.parse(readFileSync(join(ROOT, 'docs/results/matrix.json'), 'utf8')) as {
      cells: { id: string; ok: boolean }[];
    };
    expect(withTable(README, result)).toBe(README);

    const everywhere = ['20', '22', '24'].map(() => 'Express, Fastify');
    const told = tableUnder('Compatibility').map(([nest, typeorm, , , ...outcomes]) => [
      nest!.split('.')[0],
      typeorm!.split('.', 2).join('.'),
      ...outcomes,
    ]);
    const pairs = ['11', '12'].flatMap((nest) => ['0.3', '1.1'].map((typeorm) => [nest, typeorm]));
    expect(told).toEqual(pairs.map((pair) => [...pair, ...everywhere]));
    expect(result.cells.filter(({ ok }) => !ok)).toEqual([]);
    expect(new Set(result.cells.map(({ id }) => id)).size).toBe(24);
  });
});

describe('the documents', () => {
  const DOCUMENTS = [
    'README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'docs/README.md',
    'docs/benchmark.md',
    'docs/cache.md',
    'docs/contract.md',
    'docs/databases.md',
    'docs/migration.md',
    'docs/outages.md',
    'docs/performance.md',
    'docs/reliability.md',
    'docs/scaling.md',
    'docs/your-own-store.md',
  ];

  it.each(DOCUMENTS)('link to what is there: %s', (document) => {
    const text = readFileSync(join(ROOT, document), 'utf8');
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
    for (const link of links.filter((target) => !/^https?:/.test(target))) {
      const [path, anchor] = link.split('#');
      const file = path ? join(ROOT, document, '..', path) : join(ROOT, document);
      expect([link, existsSync(file)]).toEqual([link, true]);
      if (anchor) expect(anchorsOf(readFileSync(file, 'utf8'))).toContain(anchor);
    }
  });

  it('name npm scripts that are there', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
    for (const document of DOCUMENTS) {
      const text = readFileSync(join(ROOT, document), 'utf8');
      for (const [, name] of text.matchAll(/npm run ([\w:]+)/g)) expect(Object.keys(scripts)).toContain(name);
    }
  });

  it('have the figures of the benchmark as they were measured, and every answer was right', async () => {
    const { documentOf } = (await import(join(ROOT, 'scripts/bench/table.mjs'))) as {
      documentOf(result: BenchResult): string;
    };
    const result = JSON.parse(readFileSync(join(ROOT, 'docs/results/bench.json'), 'utf8')) as BenchResult;
    const file = join(ROOT, 'docs/benchmark.md');
    const options = { ...(await prettier.resolveConfig(file)), filepath: file };
    expect(await prettier.format(documentOf(result), options)).toBe(readFileSync(file, 'utf8'));
    expect(result.rows.filter(({ ok }) => !ok)).toEqual([]);

    const figures = ['express', 'fastify'].flatMap((platform) => {
      const stack = platform === 'express' ? 'express-session + ' : '@fastify/session + ';
      const stores = ['connect-pg-simple', 'connect-typeorm', 'connect-redis'].map((store) => stack + store);
      const variants = ['ours', 'ours (without functions)', 'select', ...stores, 'bare'];
      return ['read', 'write', 'sign-in'].map((scenario) =>
        variants.map((variant) => rpsOf(result, platform, scenario, variant)),
      );
    });
    expect(tableUnder('Speed').map(([, ...cells]) => cells)).toEqual(figures);
  });

  it('tell of as many rows with --full as there are, and every answer was right', () => {
    const { rows } = JSON.parse(readFileSync(join(ROOT, 'docs/results/bench-full.json'), 'utf8')) as BenchResult;
    expect(rows.filter(({ ok }) => !ok)).toEqual([]);
    expect(readFileSync(join(ROOT, 'docs/performance.md'), 'utf8')).toContain(`${rows.length} rows on`);
  });

  it('have the figures of Express with Node 20 and 24 as they were measured', () => {
    const [old, recent] = ['bench-before', 'bench-node24'].map(
      (name) => JSON.parse(readFileSync(join(ROOT, `docs/results/${name}.json`), 'utf8')) as BenchResult,
    );
    expect([...old!.rows, ...recent!.rows].filter(({ ok }) => !ok)).toEqual([]);
    const told = readFileSync(join(ROOT, 'docs/performance.md'), 'utf8');
    const variants = {
      'no session, as Nest comes': 'bare',
      'no session, with prototypes': 'bare (prototypes)',
      'this, without prototypes': 'ours (without prototypes)',
      this: 'ours',
      'a prepared statement by hand': 'select',
      'connect-redis': 'express-session + connect-redis',
    };
    for (const [name, variant] of Object.entries(variants)) {
      const figures = ['read', 'write'].flatMap((scenario) =>
        [old, recent].map((result) => rpsOf(result!, 'express', scenario, variant)),
      );
      const line = told.split('\n').find((each) => each.startsWith(`| ${name} `) && each.endsWith('|'))!;
      const cells = line.split('|').slice(2, -1);
      expect(cells.map((cell) => cell.replaceAll(/\s/g, ''))).toEqual(figures);
    }
  });

  it('have the figures of many sessions as they were measured, and every answer was right', async () => {
    const { documentWith } = (await import(join(ROOT, 'scripts/scale/table.mjs'))) as {
      documentWith(markdown: string, results: Record<string, object>): string;
    };
    const resultOf = (name: string) =>
      JSON.parse(readFileSync(join(ROOT, `docs/results/${name}.json`), 'utf8')) as ScaleResult;
    const results = { scale: resultOf('scale'), touch: resultOf('touch') };
    const scaling = readFileSync(join(ROOT, 'docs/scaling.md'), 'utf8');
    expect(documentWith(scaling, results)).toBe(scaling);
    expect([...scaling.matchAll(/<!-- figures: (\w+) -->/g)].map(([, name]) => name)).toEqual([
      'about',
      'reads',
      'curve',
      'cleanups',
      'touches',
      'aboutTouches',
      'goals',
    ]);
    const { reads = [], cleanups = [] } = results.scale;
    expect(reads.map(({ rows }) => rows)).toEqual([10_000, 1_000_000, 10_000_000]);
    expect(cleanups.map(({ deleted }) => deleted)).toEqual([1_000_000, 1_000_000]);
    expect([...reads, ...cleanups].every(({ ok }) => ok)).toBe(true);
    for (const { commit } of Object.values(results)) expect(commit).not.toMatch(/dirty/);
  });

  it('name for each line of the contract test files that carry it', () => {
    const contract = readFileSync(join(ROOT, 'docs/contract.md'), 'utf8');
    const rows = [...contract.matchAll(/^\| (\d+) .*$/gm)].map(([row, line]) => ({ row, line }));
    expect(rows.map(({ line }) => line)).toEqual(Array.from({ length: 10 }, (_, index) => String(index + 1)));
    for (const { row, line } of rows) {
      const files = [...row.matchAll(/\((\.\.\/test\/[^)]+)\)/g)].map(([, link]) => link!);
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) expect(readFileSync(join(ROOT, 'docs', file), 'utf8')).toContain(`[line ${line}]`);
    }
  });
});

/** Type-checks examples where an application would have them, and tells what is wrong. */
function compile(names: string[]): string[] {
  const pathOf = (name: string) => join(ROOT, 'test/readme', name.endsWith('.ts') ? name : `${name}.ts`);
  const virtual = new Map(names.map((name) => [pathOf(name), EXAMPLES.get(name)!]));
  const host = ts.createCompilerHost(compilerOptions);
  const { fileExists, readFile, getSourceFile, directoryExists } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.readFile = (path) => virtual.get(path) ?? readFile(path);
  host.directoryExists = (path) => [...virtual.keys()].some((file) => file.startsWith(path)) || directoryExists!(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const code = virtual.get(path);
    if (code === undefined) return getSourceFile(path, languageVersion, ...rest);
    return ts.createSourceFile(path, code, languageVersion);
  };
  const strictest = { ...compilerOptions, strictPropertyInitialization: true, noEmit: true };
  const program = ts.createProgram([...virtual.keys()], strictest, host);
  return [...virtual.keys()]
    .map((path) => program.getSourceFile(path)!)
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
}

/** Puts the examples, as JavaScript, where they find the packages that they import. */
function writeExamples(): string {
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'node_modules/.cache/readme-'));
  for (const name of TYPESCRIPT) {
    const { outputText } = ts.transpileModule(EXAMPLES.get(name)!, {
      fileName: name,
      compilerOptions: { ...compilerOptions, module: ts.ModuleKind.ESNext, inlineSourceMap: true, sourceMap: false },
    });
    const path = join(folder, `${name.replace(/\.ts$/, '')}.mjs`);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, outputText.replace(/(from '\.[^']*)\.js'/g, "$1.mjs'"));
  }
  return folder;
}

/** Does what the README's curl commands do. */
async function runCurl(addresses: Record<string, string>): Promise<Reply[]> {
  const jars = new Map<string, string>();
  const replies: Reply[] = [];
  for (const line of EXAMPLES.get('curl')!
    .split('\n')
    .filter((text) => text && !text.startsWith('#'))) {
    const copy = /^cp (\w+) (\w+)$/.exec(line);
    if (copy) {
      jars.set(copy[2]!, jars.get(copy[1]!)!);
      continue;
    }
    const [, address, path] = /(http:\/\/[\d.]+:\d+)(\S+)/.exec(line)!;
    const body = / -d '([^']+)'/.exec(line)?.[1];
    const client = new Client(addresses[address!]!);
    const read = / -b (\w+)/.exec(line)?.[1];
    if (read) client.cookie = jars.get(read)!;
    const method = / -X (\w+)/.exec(line)?.[1] ?? (body ? 'POST' : 'GET');
    replies.push(await client.request(method, path!, body === undefined ? undefined : (JSON.parse(body) as object)));
    const written = / -c (\w+)/.exec(line)?.[1];
    if (written) jars.set(written, client.cookie);
  }
  return replies;
}

async function runMigrations(dataSource: DataSource): Promise<void> {
  await dataSource.initialize();
  await dataSource.runMigrations();
  await dataSource.destroy();
}

/** The `AppModule` of a command without HTTP. */
function command(url: string): Type {
  @Module({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url, autoLoadEntities: true, connectTimeoutMS: 2000 }),
      SessionModule.forRoot({ cleanup: false }),
    ],
  })
  class Command {}
  return Command;
}

/** A controller that asks the provider, and is as much of a singleton as that. */
function counterController(VisitCounter: Type): Type {
  @Controller('counter')
  class CounterController {
    constructor(@Inject(VisitCounter) private readonly counter: { count(): Promise<number> }) {}

    @Get()
    async count() {
      return { visits: await this.counter.count() };
    }
  }
  return CounterController;
}

function maxAgeOf(milliseconds: number): RegExp {
  // Some of it has passed by the time the cookie is written.
  return new RegExp(`Max-Age=(${milliseconds / 1000}|${milliseconds / 1000 - 1});`);
}

/** The rows of the first table under a heading, without its head. */
function tableUnder(heading: string): string[][] {
  const section = README.slice(README.indexOf(`\n## ${heading}\n`));
  const [table = ''] = /^\|[^]*?(?=\n\n)/m.exec(section) ?? [];
  const rows = table.split('\n').map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return rows.slice(2);
}

interface BenchResult {
  readonly rows: readonly { readonly ok: boolean; readonly rps: number }[];
}

/** Requests per second with 64 connections, as a table tells them; `-` where that was not measured. */
function rpsOf({ rows }: BenchResult, platform: string, scenario: string, variant: string): string {
  const wanted = { platform, scenario, variant, connections: 64, sessions: 1000 };
  const row = rows.find((each) => Object.entries(wanted).every(([name, value]) => Reflect.get(each, name) === value));
  return row ? String(Math.round(row.rps)) : '-';
}

interface ScaleResult {
  readonly commit: string;
  readonly reads?: readonly { readonly rows: number; readonly ok: boolean }[];
  readonly cleanups?: readonly { readonly deleted: number; readonly ok: boolean }[];
}

interface ChaosResult extends Record<'lost' | 'duplicated' | 'resurrected' | 'servedExpired' | 'crossed', number> {
  readonly name: string;
  readonly asynchronous?: boolean;
}

interface RaceResult {
  readonly versions: Readonly<Record<string, string>>;
  readonly operations: RaceTallies;
  readonly control: RaceTallies;
}
type RaceTallies = Readonly<Record<string, RaceTally>>;
type RaceTally = Record<'acknowledged' | 'lost' | 'duplicated' | 'resurrected' | 'refused', number>;

function sumOf(tallies: RaceTallies): RaceTally {
  const sum: RaceTally = { acknowledged: 0, lost: 0, duplicated: 0, resurrected: 0, refused: 0 };
  for (const tally of Object.values(tallies)) {
    for (const key of Object.keys(sum) as (keyof RaceTally)[]) sum[key] += tally[key];
  }
  return sum;
}

function codeIn(cell: string): string {
  return /^`([^`]+)`$/.exec(cell)![1]!;
}

/** What a default in a table means. */
function valueOf(cell: string): unknown {
  if (cell === 'none') return undefined;
  const code = codeIn(cell);
  if (!code.startsWith("'")) return JSON.parse(code);
  const text = code.slice(1, -1);
  return /^\d/.test(text) ? parseDuration(text, 'README') : text;
}

function refusalOf(options: object): string {
  try {
    resolveOptions(options, {});
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the options were accepted');
}

/** The anchors of the headings, as they are made where Markdown is shown. */
function anchorsOf(markdown: string): string[] {
  const headings = [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
