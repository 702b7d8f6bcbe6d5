import { Controller, Get, Inject, Param, Post, Query, Res, Sse, UseGuards } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CurrentSession, RequireSession, Session, SessionGuard, SessionService } from 'nestjs-typeorm-session';
import { concat, NEVER, of } from 'rxjs';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { RawConnection, rawRequest } from '../support/raw-http.js';
import { rawOf, useCompression, type AnyReply } from '../support/response-kinds.js';

/** Ways to look at a session. */
const LOOKS: Record<string, (session: Session) => unknown> = {
  get: (session) => session.get('a'),
  'get of a key that is absent': (session) => session.get('absent', 1),
  has: (session) => session.has('a'),
  keys: (session) => session.keys(),
  entries: (session) => session.entries(),
  pull: (session) => session.pull('absent'),
  flash: (session) => session.flash('absent'),
  isNew: (session) => session.isNew,
  userId: (session) => session.userId,
  id: (session) => session.id,
  expiresAt: (session) => session.expiresAt,
  increment: (session) => session.increment('n'),
};

/** What may be done without looking. */
const BLIND: Record<string, (session: Session) => unknown> = {
  nothing: () => undefined,
  delete: (session) => session.delete('absent'),
};

const CHANGES: Record<string, (session: Session) => unknown> = {
  set: (session) => session.set('a', 1),
  increment: (session) => session.increment('n'),
  regenerate: (session) => session.regenerate(),
  login: (session) => session.login('ann'),
  destroy: (session) => session.destroy(),
  'destroy, then set': async (session) => {
    await session.destroy();
    session.set('a', 2);
  },
  'all at once': async (session) => {
    session.set('a', 1);
    await session.regenerate();
    session.set('a', 2);
    await session.login('ann');
    await session.destroy();
    session.set('a', 3);
    await session.regenerate();
    session.set('a', 4);
  },
  'destroyed in the end': async (session) => {
    session.set('a', 1);
    await session.regenerate();
    await session.destroy();
  },
};

@Controller()
@UseGuards(SessionGuard)
class HeadersController {
  constructor(@Inject(CurrentSession) private readonly current: CurrentSession) {}

  @Post('start')
  start(@Session() session: Session) {
    session.set('a', 'first');
  }

  @Get('look/:way')
  look(@Session() session: Session, @Param('way') way: string) {
    return Promise.resolve(LOOKS[way]!(session)).then(() => 'looked');
  }

  @Get('blind/:way')
  blind(@Session() session: Session, @Param('way') way: string) {
    BLIND[way]!(session);
    return 'did not look';
  }

  @Get('not-injected')
  notInjected() {
    return 'nothing';
  }

  @Get('key')
  key(@Session('a') a: unknown) {
    return { a };
  }

  @Get('current')
  currentSession() {
    return { a: this.current.get('a') as unknown };
  }

  @Get('required')
  @RequireSession()
  required() {
    return 'in';
  }

  @Get('required-of-user')
  @RequireSession({ user: true })
  requiredOfUser() {
    return 'in';
  }

  @Get('handler-says')
  handlerSays(
    @Session() session: Session,
    @Query() headers: Record<string, string>,
    @Res({ passthrough: true }) reply: AnyReply,
  ) {
    for (const [name, value] of Object.entries(headers)) reply.header(name, value);
    return { a: session.get('a') as unknown };
  }

  @Get('vary-list')
  varyList(@Session() session: Session, @Res() reply: AnyReply) {
    session.get('a');
    const lists = { vary: ['Accept-Encoding', 'Origin'] };
    rawOf(reply)
      .writeHead(200, lists as never)
      .end();
  }

  @Get('throw')
  throw(@Session('a') _: unknown) {
    throw new Error('a bug');
  }

  @Get('change/:what')
  async change(@Session() session: Session, @Param('what') what: string, @Res({ passthrough: true }) reply: AnyReply) {
    reply.header('cache-control', 'public, max-age=600, s-maxage=600');
    await CHANGES[what]!(session);
    return 'changed';
  }

  @Get('cookies/:form')
  async cookies(@Session() session: Session, @Res() reply: AnyReply, @Param('form') form: string) {
    await session.regenerate();
    if (form === 'framework') {
      const cookies = reply as unknown as { append?(name: string, value: string): void };
      // Both append: a second line, not a longer first one.
      for (const line of OTHERS) {
        if (cookies.append) cookies.append('Set-Cookie', line);
        else reply.header('set-cookie', line);
      }
      return reply.send('ok');
    }
    const raw = rawOf(reply);
    if (form === 'set') raw.setHeader('Set-Cookie', [...OTHERS]);
    if (form === 'append') for (const line of OTHERS) raw.appendHeader('Set-Cookie', line);
    if (form === 'object') raw.writeHead(200, { 'set-cookie': [...OTHERS] });
    if (form === 'list') raw.writeHead(200, ['set-cookie', OTHERS[0], 'SET-COOKIE', OTHERS[1]]);
    if (form === 'pairs') raw.writeHead(200, OTHERS.map((line) => ['Set-Cookie', line]) as never);
    if (form === 'forged') raw.writeHead(200, { 'Set-Cookie': ['sid=forged; Path=/', ...OTHERS] });
    return raw.end('ok');
  }

  @Sse('compressed/events')
  events(@Session() session: Session) {
    session.set('a', 'events');
    return concat(of({ data: 'at once' }), NEVER);
  }
}

@Controller('service')
@UseGuards(SessionGuard)
class ServiceController {
  constructor(@Inject(SessionService) private readonly session: SessionService) {}

  @Get('look')
  look() {
    return { a: this.session.get('a') as unknown };
  }

  @Get('blind')
  blind() {
    return 'injected, and not looked at';
  }
}

const OTHERS = ['theme=dark; Path=/', 'sidebar=open; Path=/'] as const;
const ISSUED = expect.stringMatching(/^sid=[A-Za-z0-9_-]{43}; .*Max-Age=[1-9]/) as unknown;
const EXPIRED = expect.stringMatching(/^sid=; .*Max-Age=0/) as unknown;

describe.each(PLATFORMS)('the headers of a response on %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp;
  let cookie: string;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    app = await startApp({
      platform,
      databaseUrl: database.url,
      controllers: [HeadersController, ServiceController],
      session: { guardAll: false, cleanup: false, currentSession: true },
      prepare: (nest) => useCompression(nest, platform),
    });
    cookie = await newCookie();
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  async function newCookie(): Promise<string> {
    const client = app.client();
    await client.post('/start');
    return client.cookie;
  }

  /** The headers in question; names that are absent are `undefined`. */
  async function headersOf(path: string, withCookie: string | undefined = cookie, method = 'GET') {
    const headers = { 'accept-encoding': 'identity', ...(withCookie ? { cookie: withCookie } : {}) };
    const response = await rawRequest(app.url, { method, path: encodeURI(path), headers });
    return {
      status: response.status,
      vary: response.header('vary'),
      cache: response.header('cache-control'),
      cookies: response.lines('set-cookie'),
    };
  }

  const looked = { vary: 'Cookie', cache: 'private', cookies: [] };
  const untouched = { vary: undefined, cache: undefined, cookies: [] };

  it.each([
    ...Object.keys(LOOKS).map((way) => [way, `/look/${way}`]),
    ["@Session('key')", '/key'],
    ['a session that is required', '/required'],
    ['the request-scoped service', '/service/look'],
    ['CurrentSession', '/current'],
  ])('[answer: looked at] counts %s', async (_, path) => {
    expect(await headersOf(path)).toEqual({ status: 200, ...looked });
  });

  it.each(['get', 'isNew', 'keys'])('[answer: looked at] counts %s where there is no session', async (way) => {
    expect(await headersOf(`/look/${way}`, '')).toEqual({ status: 200, ...looked });
  });

  it.each([
    ...Object.keys(BLIND).map((way) => [way, `/blind/${way}`]),
    ['a session that is opened alone', '/not-injected'],
    ['a service that is injected alone', '/service/blind'],
  ])('[answer: looked at] does not count %s', async (_, path) => {
    expect(await headersOf(path)).toEqual({ status: 200, ...untouched });
  });

  it('[answer: looked at] says so on refusals, errors and HEAD too', async () => {
    expect(await headersOf('/required', '')).toEqual({ status: 401, ...looked });
    expect(await headersOf('/required-of-user')).toEqual({ status: 401, ...looked });
    expect(await headersOf('/throw')).toEqual({ status: 500, ...looked });
    expect(await headersOf('/key', cookie, 'HEAD')).toEqual({ status: 200, ...looked });
  });

  it.each([
    ['vary=Accept-Encoding', { vary: 'Accept-Encoding, Cookie' }],
    ['vary=Accept,%20Origin', { vary: 'Accept, Origin, Cookie' }],
    ['vary=origin,%20cookie', { vary: 'origin, cookie' }],
    ['vary=*', { vary: '*' }],
    ['cache-control=public,%20max-age=60', { cache: 'public, max-age=60' }],
    ['cache-control=no-store', { cache: 'no-store' }],
  ])('[answer: looked at] heeds what the handler says: %s', async (query, expected) => {
    const path = decodeURI(`/handler-says?${query}`);
    expect(await headersOf(path)).toEqual({ status: 200, ...looked, ...expected });
  });

  it('[answer: looked at] merges with a list that is given to writeHead', async () => {
    expect(await headersOf('/vary-list')).toMatchObject({ vary: 'Accept-Encoding, Origin, Cookie' });
  });

  it.each([
    ['set', [ISSUED], false],
    ['increment', [ISSUED], false],
    ['regenerate', [ISSUED], true],
    ['login', [ISSUED], true],
    ['destroy', [EXPIRED], true],
    ['destroy, then set', [ISSUED], true],
    ['all at once', [ISSUED], true],
    ['destroyed in the end', [EXPIRED], true],
  ])('[answer: looked at] forbids all caches a response with a cookie: %s', async (what, cookies, hasSession) => {
    const answer = await headersOf(`/change/${what}`, hasSession ? await newCookie() : '');
    expect(answer).toMatchObject({ status: 200, cache: 'no-store', cookies });
  });

  it('[answer: looked at] leaves the handler its caches where there is no cookie', async () => {
    const answer = await headersOf('/change/set', await newCookie());
    expect(answer).toMatchObject({ cache: 'public, max-age=600, s-maxage=600', cookies: [] });
  });

  it('[line 5] sends one cookie of ours, for the last state, whatever the handler does', async () => {
    for (const start of [undefined, await newCookie()]) {
      const { cookies } = await headersOf('/change/all at once', start ?? '');
      expect(cookies).toEqual([ISSUED]);
      const last = cookies[0]!.split(';')[0]!;
      const { text } = await rawRequest(app.url, { path: '/key', headers: { cookie: last } });
      expect(JSON.parse(text)).toEqual({ a: 4 });
    }
  });

  it.each(['framework', 'set', 'append', 'object', 'list', 'pairs', 'forged'])(
    '[line 5] leaves other cookies alone: %s',
    async (form) => {
      const { cookies } = await headersOf(`/cookies/${form}`, await newCookie());
      expect(cookies).toEqual([...OTHERS, ISSUED]);
    },
  );

  it('[line 1] sends an event at once through a middleware that compresses, with a new cookie', async () => {
    const connection = await RawConnection.open(app.url);
    void connection.send({ path: '/compressed/events', headers: { 'accept-encoding': 'gzip' } });
    for (let turn = 0; turn < 100 && !connection.received.includes('at once'); turn++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(connection.received).toContain('at once');
    expect(connection.received).toMatch(/set-cookie: sid=/i);
    expect(connection.received).toMatch(/cache-control: .*no-store.*no-transform/i);
    connection.destroy();
  });
});
