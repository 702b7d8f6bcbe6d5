import { Controller, Get, HttpCode, HttpException, Param, Post, Res, StreamableFile, UseGuards } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SessionGuard } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { rawRequest } from '../support/raw-http.js';
import { rawOf, type AnyReply } from '../support/response-kinds.js';

/** What a handler does before it fails. */
const OPERATIONS: Record<string, (session: Session) => unknown> = {
  nothing: () => undefined,
  login: (session) => session.login('ann', { keep: ['kept'] }),
  regenerate: (session) => session.regenerate(),
  destroy: (session) => session.destroy(),
  increment: (session) => session.increment('n'),
  append: (session) => session.append('list', 'a'),
  setIfAbsent: (session) => session.setIfAbsent('nonce', 1),
  take: (session) => session.take('kept'),
  update: (session) => session.update('n', (n = 0) => n + 1),
  save: (session) => {
    session.set('saved', true);
    return session.save();
  },
  'not awaited': (session) => void session.regenerate(),
};

async function change(session: Session, operation: string): Promise<void> {
  await OPERATIONS[operation]!(session);
  session.set('late', true);
}

@Controller()
@UseGuards(SessionGuard)
class ErrorsController {
  @Post('start')
  start(@Session() session: Session) {
    session.set('kept', 'k');
  }

  @Get('error/:operation')
  async error(@Session() session: Session, @Param('operation') operation: string) {
    await change(session, operation);
    throw new Error('a bug');
  }

  @Get('exception/:status/:operation')
  async exception(@Session() session: Session, @Param('status') status: string, @Param('operation') operation: string) {
    await change(session, operation);
    throw new HttpException('unlucky', Number(status));
  }

  @Get('code/:operation')
  @HttpCode(500)
  async code(@Session() session: Session, @Param('operation') operation: string) {
    await change(session, operation);
    return 'a value with a bad status';
  }

  @Get('res/:operation')
  async res(@Session() session: Session, @Param('operation') operation: string, @Res() reply: AnyReply) {
    await change(session, operation);
    reply.status(500).send('sent');
  }

  @Get('head/:operation')
  async head(@Session() session: Session, @Param('operation') operation: string, @Res() reply: AnyReply) {
    await change(session, operation);
    rawOf(reply).writeHead(500, { 'content-type': 'text/plain' }).end('raw');
  }

  @Get('stream/:operation')
  @HttpCode(500)
  async stream(@Session() session: Session, @Param('operation') operation: string) {
    await change(session, operation);
    return new StreamableFile(Buffer.from('streamed'));
  }
}

const WAYS: readonly [name: string, path: string, status: number][] = [
  ['a thrown Error', 'error', 500],
  ['an HttpException of 500', 'exception/500', 500],
  ['an HttpException of 503', 'exception/503', 503],
  ['@HttpCode(500)', 'code', 500],
  ['@Res() with 500', 'res', 500],
  ['writeHead with 500', 'head', 500],
  ['a stream with 500', 'stream', 500],
];

interface Row extends Record<string, unknown> {
  data: Record<string, unknown>;
  user_id: string | null;
}

describe.each(PLATFORMS)('a handler that ends in 5xx on %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    app = await startApp({ platform, databaseUrl: database.url, controllers: [ErrorsController] });
  });
  beforeEach(() => database.query('DELETE FROM sessions'));
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  const rows = () => database.query<Row>('SELECT data, user_id FROM sessions');

  async function ask(path: string, operation: string, cookie?: string) {
    const response = await rawRequest(app.url, {
      path: `/${path}/${encodeURIComponent(operation)}`,
      headers: cookie ? { cookie } : {},
    });
    return { status: response.status, cookies: response.lines('set-cookie'), text: response.text };
  }

  async function newCookie(): Promise<string> {
    const client = app.client();
    await client.post('/start');
    return client.cookie;
  }

  describe.each(WAYS)('by %s', (_, path, status) => {
    it('[line 7] saves no data', async () => {
      expect(await ask(path, 'nothing', await newCookie())).toMatchObject({ status, cookies: [] });
      expect(await rows()).toEqual([{ data: { kept: 'k' }, user_id: null }]);
    });

    it('[line 7] starts no session', async () => {
      expect(await ask(path, 'nothing')).toMatchObject({ status, cookies: [] });
      expect(await rows()).toEqual([]);
    });

    it('[line 7] keeps a sign-in, and sends its cookie', async () => {
      const cookie = await newCookie();
      const answer = await ask(path, 'login', cookie);
      expect(answer).toMatchObject({ status, cookies: [expect.stringMatching(/^sid=[^;]+; .*Max-Age=[1-9]/)] });
      expect(await rows()).toEqual([{ data: { kept: 'k' }, user_id: 'ann' }]);
    });

    it('[line 7] keeps a sign-out, and sends its cookie', async () => {
      const answer = await ask(path, 'destroy', await newCookie());
      expect(answer).toMatchObject({ status, cookies: [expect.stringMatching(/^sid=; .*Max-Age=0/)] });
      expect(await rows()).toEqual([]);
    });
  });

  it.each(['regenerate', 'not awaited'])(
    '[line 7] keeps a regeneration (%s), and sends its cookie',
    async (operation) => {
      const cookie = await newCookie();
      const answer = await ask('error', operation, cookie);
      expect(answer).toMatchObject({ status: 500, cookies: [expect.stringMatching(/^sid=[^;]+; /)] });
      expect(await rows()).toEqual([{ data: { kept: 'k' }, user_id: null }]);
      expect(answer.cookies[0]!.split(';')[0]).not.toBe(cookie);
    },
  );

  it.each([
    ['increment', { kept: 'k', n: 1 }],
    ['append', { kept: 'k', list: ['a'] }],
    ['setIfAbsent', { kept: 'k', nonce: 1 }],
    ['take', {}],
    ['update', { kept: 'k', n: 1 }],
    ['save', { kept: 'k', saved: true }],
  ])('[line 7] keeps %s', async (operation, data) => {
    expect(await ask('error', operation, await newCookie())).toMatchObject({ status: 500, cookies: [] });
    expect(await rows()).toEqual([{ data, user_id: null }]);
  });

  it.each(['login', 'increment', 'save'])('[line 7] sends the cookie of a session that %s began', async (operation) => {
    const answer = await ask('error', operation);
    expect(answer).toMatchObject({ status: 500, cookies: [expect.stringMatching(/^sid=[^;]+; /)] });
    const [row, ...others] = await rows();
    expect(others).toEqual([]);
    expect(row!.data).not.toHaveProperty('late');
  });

  it('[line 7] saves what a 4xx changed', async () => {
    expect(await ask('exception/499', 'nothing', await newCookie())).toMatchObject({ status: 499, cookies: [] });
    expect(await rows()).toEqual([{ data: { kept: 'k', late: true }, user_id: null }]);
  });
});
