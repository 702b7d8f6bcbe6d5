import { inspect } from 'node:util';
import { Body, Controller, Get, Post } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createHash } from 'node:crypto';
import { Session, SessionCleanupService, SessionModule, SessionService } from 'nestjs-typeorm-session';
import { DataSource, type Logger } from 'typeorm';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.js';

const CANARY = 'canary-4111111111111111';
const SECRET = 'correct horse battery staple, forty bytes';

@Controller()
class SecretController {
  constructor(private readonly service: SessionService) {}

  @Get('peek')
  peek(@Session() session: Session) {
    return {
      card: session.get('card') as unknown,
      seen: inspect(session, { depth: 10, showHidden: true }) + inspect(this.service, { depth: 0 }),
    };
  }

  @Post('set')
  set(@Session() session: Session, @Body() values: Record<string, unknown>) {
    for (const [key, value] of Object.entries(values)) session.set(key, value);
  }

  @Post('bad-value')
  badValue(@Session() session: Session) {
    session.set('card', { number: CANARY, when: new Date() });
  }

  @Post('work')
  async work(@Session() session: Session) {
    await session.append('cards', CANARY);
    await session.setIfAbsent('nonce', CANARY);
    await session.take('nonce');
    await session.update('card', () => CANARY);
    await session.login('ann', { keep: ['card'] });
  }
}

/** Everything that is said while it listens: on the console, by Nest, by TypeORM. */
function eavesdrop() {
  const said: string[] = [];
  const spies = [
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0),
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0),
  ];
  const note = (...words: unknown[]) => void said.push(inspect(words, { depth: 10, showHidden: true }));
  const logger: Logger = {
    logQuery: note,
    logQueryError: note,
    logQuerySlow: note,
    logSchemaBuild: note,
    logMigration: note,
    log: note,
  };
  return { said, logger, note, stop: () => spies.forEach((spy) => spy.mockRestore()) };
}

describe.each(PLATFORMS)('secrets on %s', (platform) => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let app: TestApp;
  const ears = eavesdrop();
  ears.stop();

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    proxy = await startPostgresProxy(database.url);
    app = await startApp({
      platform,
      databaseUrl: proxy.url,
      controllers: [SecretController],
      session: {
        guardAll: true,
        cleanup: false,
        secrets: [SECRET],
        deadline: 500,
        onEvent: (event) => ears.note(event),
      },
      typeorm: { logging: 'all', logger: ears.logger, maxQueryExecutionTime: 1 } as never,
    });
  });
  afterAll(async () => {
    await app?.close();
    await proxy?.close();
    await database?.drop();
  });

  it('[line 10] stores the SHA-256 of the token, and the token nowhere', async () => {
    const client = app.client();
    await client.post('/set', { a: 1 });
    const [, value = ''] = client.cookie.split('=');
    const [token = ''] = value.split('.');
    const [row] = await database.query<{ hash: Buffer; dump: string }>(
      'SELECT token_hash AS hash, s::text AS dump FROM sessions s',
    );
    expect(row!.hash).toEqual(createHash('sha256').update(token).digest());
    for (const form of [token, Buffer.from(token, 'base64url').toString('hex')]) expect(row!.dump).not.toContain(form);
  });

  it('[line 10] does not take the stored hash for a token', async () => {
    const unsigned = await startApp({ platform, databaseUrl: database.url, controllers: [SecretController] });
    const client = unsigned.client();
    await client.post('/set', { card: 'mine' });
    const [row] = await database.query<{ hash: Buffer }>(
      'SELECT token_hash AS hash FROM sessions ORDER BY created_at DESC LIMIT 1',
    );
    for (const encoding of ['hex', 'base64', 'base64url'] as const) {
      client.cookie = `sid=${row!.hash.toString(encoding)}`;
      expect((await client.get<{ card?: string }>('/peek')).body.card).toBeUndefined();
    }
    await unsigned.close();
  });

  it('[line 10] [answer: canary] lets no token, hash, secret or value into logs, errors and inspections, with logging: all', async () => {
    const tokens: string[] = [];
    const listening = eavesdrop();
    const heard: string[] = [];
    try {
      const client = app.client();
      const step = async (path: string, body: object = {}) => {
        const reply = await client.post(path, body);
        heard.push(reply.text);
        const token = client.cookie.split('=')[1]?.split('.')[0];
        if (token) tokens.push(token);
        return reply.status;
      };
      expect(await step('/set', { card: CANARY })).toBe(201);
      expect(await step('/work')).toBe(201);
      expect(await step('/bad-value')).toBe(500);
      const seen = await client.get<{ seen: string }>('/peek');
      heard.push(seen.body.seen);
      // A database that refuses the statement quotes its parameters in the error.
      await database.query('ALTER TABLE sessions ADD CONSTRAINT refuse CHECK (version < 1) NOT VALID');
      expect(await step('/set', { card: `${CANARY}-again` })).toBe(500);
      await database.query('ALTER TABLE sessions DROP CONSTRAINT refuse');
      proxy.mode = 'refuse';
      expect(await step('/set', { card: CANARY })).toBe(503);
      proxy.mode = 'pass';
      // TypeORM's own statements do pass the logger, so the ears are open.
      await app.app.get(DataSource).query('SELECT 42 AS proof');
    } finally {
      listening.stop();
      proxy.mode = 'pass';
    }
    const modules = inspect([app.app.get(SessionModule, { strict: false }), app.app.get(SessionCleanupService)], {
      depth: 6,
      showHidden: true,
    });
    const everything = [...ears.said, ...listening.said, ...heard, modules].join('\n');
    expect(everything).toContain('SELECT 42 AS proof');
    expect(everything).toContain('store-failed');
    expect(tokens.length).toBeGreaterThan(3);
    const hashes = tokens.map((token) => createHash('sha256').update(token).digest());
    const forbidden = [
      CANARY,
      SECRET,
      ...tokens,
      ...hashes.flatMap((hash) => [hash.toString('hex'), hash.toString('base64')]),
    ];
    for (const word of forbidden) expect(everything.includes(word)).toBe(false);
  });
});
