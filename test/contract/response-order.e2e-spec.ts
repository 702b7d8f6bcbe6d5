import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Get, Post, Redirect, Res, UseGuards } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Session, SessionGuard } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type Platform, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { RawConnection, rawRequest, type RawRequest, type RawResponse } from '../support/raw-http.js';
import {
  decoded,
  KIND_CONTROLLERS,
  KINDS,
  LARGE,
  useCompression,
  type AnyReply,
  type ResponseKind,
} from '../support/response-kinds.js';
import { waitForWaiting, whileRowsAreLocked, whileTableIsLocked } from '../support/row-lock.js';

/** Milliseconds of silence while the row is locked. */
const SILENCE = 300;

@Controller()
@UseGuards(SessionGuard)
class OrderController {
  @Post('start')
  start(@Session() session: Session) {
    session.set('started', true);
  }

  @Get('who')
  who(@Session() session: Session) {
    return { userId: session.userId ?? null, visits: session.get('visits', 0) };
  }

  @Get('visit')
  visit(@Session() session: Session) {
    session.set('visits', session.get('visits', 0) + 1);
    return { visits: session.get('visits') };
  }

  @Post('login')
  @Redirect('/who', 303)
  async login(@Session() session: Session) {
    await session.login('ann');
  }

  @Post('first-write')
  @Redirect('/who', 303)
  firstWrite(@Session() session: Session) {
    session.set('visits', 1);
  }

  @Get('not-awaited')
  notAwaited(@Session() session: Session, @Res() reply: AnyReply) {
    void session.regenerate();
    reply.send('answered before the operation was');
  }
}

/** What a client saw of one request while the row was locked, and after. */
interface Sight {
  readonly bytesWhileLocked: number;
  readonly response: Promise<RawResponse>;
  readonly changedBy: string | undefined;
}

describe.each(PLATFORMS)('a response waits for the commit on %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp;
  let other: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    const controllers = [OrderController, ...KIND_CONTROLLERS];
    // Long enough for a crowd of requests to get their connections on a busy machine.
    const session = { guardAll: false, cleanup: false as const, deadline: '20s' };
    const prepare = (nest: TestApp['app']) => useCompression(nest, platform);
    const options = { platform, databaseUrl: database.url, controllers, session, prepare };
    [app, other] = await Promise.all([startApp({ ...options, poolSize: 80 }), startApp({ ...options, poolSize: 2 })]);
  });
  afterAll(async () => {
    await app?.close();
    await other?.close();
    await database?.drop();
  });

  /** The Cookie header of a session that exists. */
  async function newCookie(): Promise<string> {
    const client = app.client();
    await client.post('/start');
    return client.cookie;
  }

  /** The silence of a request whose write is held up, and the response that comes when it no longer is. */
  async function afterSilence(request: RawRequest, whileLocked = whileRowsAreLocked): Promise<RawResponse> {
    const connection = await RawConnection.open(app.url);
    try {
      const promised = await whileLocked(database, async () => {
        const response = connection.send(request);
        await waitForWaiting(database, 1);
        await delay(SILENCE);
        expect(connection.bytes).toBe(0);
        // In an object, or the lock would wait for it.
        return { response };
      });
      return await promised.response;
    } finally {
      connection.destroy();
    }
  }

  describe('with every kind of response', () => {
    const kinds = kindsOn(platform);
    const sights = new Map<string, Sight>();

    beforeAll(async () => {
      const connections = await Promise.all(kinds.map(() => RawConnection.open(app.url)));
      const cookies = await Promise.all(kinds.map(() => newCookie()));
      const { responses, bytes } = await whileRowsAreLocked(database, async () => {
        const sent = kinds.map((kind, index) =>
          connections[index]!.send({ ...kind, headers: { ...kind.headers, cookie: cookies[index]! } }),
        );
        await waitForWaiting(database, kinds.length);
        await delay(SILENCE);
        return { responses: sent, bytes: connections.map((connection) => connection.bytes) };
      });
      await Promise.allSettled(responses);
      const rows = await database.query<{ by: string }>(`SELECT data->>'changedBy' AS by FROM sessions`);
      kinds.forEach((kind, index) => {
        const changedBy = rows.find(({ by }) => by === kind.path)?.by;
        sights.set(kind.name, { bytesWhileLocked: bytes[index]!, response: responses[index]!, changedBy });
      });
      for (const connection of connections) connection.destroy();
    }, 30_000);

    it.each(kinds.map((kind) => [kind.name, kind] as const))('[line 1] holds back %s', async (name, kind) => {
      const { bytesWhileLocked, response: promised, changedBy } = sights.get(name)!;
      expect(bytesWhileLocked).toBe(0);
      const response = await promised;
      expect(response.status).toBe(kind.status);
      const text = decoded(response);
      if (typeof kind.wants === 'string') expect(shortened(text)).toBe(shortened(kind.wants));
      else expect(text).toMatch(kind.wants);
      for (const [header, value] of Object.entries(kind.wantsHeaders ?? {}))
        expect(response.header(header)).toBe(value);
      if (kind.wantsMessage) expect(response.statusMessage).toBe(kind.wantsMessage);
      expect(changedBy).toBe(kind.path);
      // The session existed, so no token is issued; nor has a cookie of somebody else been lost.
      const isTwoCookies = kind.path.startsWith('/plain/head/');
      const isOneCookie = kind.path === '/plain/passthrough';
      const cookies = isTwoCookies ? ['theme=dark', 'lang=en'] : isOneCookie ? ['theme=dark'] : [];
      expect(response.lines('set-cookie')).toEqual(cookies);
    });

    it('lets interim responses pass', async () => {
      expect((await sights.get('early hints')!.response).interim).toEqual([103]);
      expect((await sights.get('an expected 100')!.response).interim).toEqual([100]);
    });

    it('keeps trailers', async () => {
      const trailers = (await sights.get('raw trailers')!.response).trailers;
      expect(trailers).toEqual([['x-sum', '42']]);
      if (platform === 'fastify') expect((await sights.get('reply.trailer')!.response).trailers).toEqual(trailers);
    });
  });

  it.each(['login', 'first-write'])('[line 1] holds back the redirect of a new session after %s', async (path) => {
    const response = await afterSilence({ method: 'POST', path: `/${path}` }, whileTableIsLocked);
    expect(response.status).toBe(303);
    expect(response.header('set-cookie')).toMatch(/^sid=/);
  });

  it('[line 1] waits for an operation that nobody awaited', async () => {
    const response = await afterSilence({ path: '/not-awaited', headers: { cookie: await newCookie() } });
    expect(response.text).toBe('answered before the operation was');
    expect(response.header('set-cookie')).toMatch(/^sid=/);
  });

  it.each(['login', 'first-write'])('[line 1] a redirect after %s finds its session, on any node', async (path) => {
    for (let round = 0; round < 10; round++) {
      const browser = app.client();
      const answer = await browser.post(`/${path}`);
      expect(answer.status).toBe(303);
      const location = answer.headers.get('location')!;
      const expected = path === 'login' ? { userId: 'ann', visits: 0 } : { userId: null, visits: 1 };
      expect((await browser.at(other.url).get(location)).body).toEqual(expected);
      expect((await browser.get(location)).body).toEqual(expected);
    }
  });

  it('[line 1] answers one request after another on a connection', async () => {
    const cookie = await newCookie();
    const connection = await RawConnection.open(app.url);
    for (let visits = 1; visits <= 5; visits++) {
      const response = await connection.send({ path: '/visit', headers: { cookie } });
      expect(JSON.parse(response.text)).toEqual({ visits });
    }
    const kept = await connection.send({ path: '/plain/not-hijacked', headers: { cookie } });
    expect(kept.text).toBe('past the framework');
    expect(connection.isClosed).toBe(false);
    connection.destroy();
  });

  it('[line 1] answers pipelined requests in order, each after its own commit', async () => {
    const cookies = [await newCookie(), await newCookie(), await newCookie()];
    const connection = await RawConnection.open(app.url);
    const paths = ['/plain/file-of-stream', '/visit', '/plain/write'];
    const { responses } = await whileRowsAreLocked(database, async () => {
      const sent = paths.map((path, index) => connection.send({ path, headers: { cookie: cookies[index]! } }));
      await waitForWaiting(database, 3);
      await delay(SILENCE);
      expect(connection.bytes).toBe(0);
      return { responses: sent };
    });
    const texts = (await Promise.all(responses)).map(({ text }) => text);
    expect(texts).toEqual(['a streamed file', '{"visits":1}', 'first second third']);
    connection.destroy();
  });

  it.each(['/plain/large', '/plain/large-pipe', '/plain/write-large'])(
    '[line 1] sends %s whole to a slow reader',
    async (path) => {
      const cookie = await newCookie();
      const connection = await RawConnection.open(app.url);
      const promised = await whileRowsAreLocked(database, async () => {
        const response = connection.send({ path, headers: { cookie } });
        await waitForWaiting(database, 1);
        expect(connection.bytes).toBe(0);
        connection.pause();
        return { response };
      });
      await delay(150);
      connection.resume();
      const digest = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
      expect(digest((await promised.response).body)).toBe(digest(LARGE));
      connection.destroy();
    },
  );

  it('[line 1] answers a visitor without a session with every kind at once', async () => {
    const responses = await Promise.all(kindsOn(platform).map((kind) => rawRequest(app.url, kind)));
    expect(responses.map(({ status }) => status)).toEqual(kindsOn(platform).map(({ status }) => status));
    for (const response of responses) {
      const ours = response.lines('set-cookie').filter((line) => line.startsWith('sid='));
      expect(ours).toHaveLength(1);
      expect(response.header('cache-control')).toMatch(/no-store/);
    }
  });
});

function kindsOn(platform: Platform): ResponseKind[] {
  return KINDS.filter(({ platforms }) => platforms.includes(platform));
}

/** Keeps a failure readable where megabytes differ. */
function shortened(text: string): string {
  if (text.length < 1_000) return text;
  const digest = createHash('sha256').update(text).digest('hex');
  return `${text.length} characters, ${digest}: ${text.slice(0, 50)}`;
}
