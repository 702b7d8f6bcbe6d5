import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Controller, Get, Param, Post, Req, Res, StreamableFile, UseGuards } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Session, SessionGuard } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { RawConnection, rawRequest } from '../support/raw-http.js';
import { rawOf, type AnyReply } from '../support/response-kinds.js';
import { whileRowsAreLocked } from '../support/row-lock.js';

/** What the handlers saw, in order. */
let seen: unknown[] = [];
/** Resolves with what a handler did after its client was gone. */
let done: Promise<void>;
let finish: () => void;
let requests: WeakRef<IncomingMessage>[] = [];

const attempt = (work: () => unknown) => {
  try {
    work();
    return 'did it';
  } catch (error) {
    return (error as { code?: string }).code;
  }
};
const codeOf = (error: unknown) => (error as { code?: string }).code;

function stateOf(reply: AnyReply & { sent?: boolean; headersSent?: boolean }) {
  const raw: ServerResponse = reply.raw ?? (reply as unknown as ServerResponse);
  // Fastify's own word for it; on Express the two of Node are all there is.
  return { headersSent: raw.headersSent, writableEnded: raw.writableEnded, sent: reply.sent ?? raw.writableEnded };
}

@Controller()
@UseGuards(SessionGuard)
class FrozenController {
  @Post('start')
  start(@Session() session: Session) {
    session.set('started', true);
  }

  @Get('peek')
  peek(@Session() session: Session) {
    return Object.fromEntries(session.entries());
  }

  @Get('state/:how')
  state(@Session() session: Session, @Res() reply: AnyReply, @Param('how') how: string) {
    session.set('how', how);
    seen.push(stateOf(reply));
    const raw = reply.raw ?? (reply as unknown as ServerResponse);
    if (how === 'send') reply.send('sent');
    if (how === 'redirect') reply.status(302).redirect('/elsewhere');
    if (how === 'end') rawOf(reply).end('ended');
    if (how === 'writeHead') rawOf(reply).writeHead(200);
    if (how === 'flushHeaders') rawOf(reply).flushHeaders();
    if (how === 'write') rawOf(reply).write('written');
    seen.push(stateOf(reply));
    if (!raw.writableEnded) raw.end();
  }

  @Get('late-headers')
  lateHeaders(@Session() session: Session, @Res() reply: AnyReply) {
    session.set('late', 'headers');
    const raw = rawOf(reply);
    raw.setHeader('x-own', 'first');
    raw.statusMessage = 'Fine';
    raw.end('body');
    seen.push(
      attempt(() => raw.setHeader('x-own', 'late')),
      attempt(() => raw.appendHeader('x-own', 'late')),
      attempt(() => raw.setHeaders(new Map([['x-own', 'late']]))),
      attempt(() => raw.removeHeader('x-own')),
      attempt(() => raw.writeHead(500, { 'x-own': 'late' })),
      raw.getHeader('x-own'),
    );
    raw.statusCode = 500;
    raw.statusMessage = 'Late';
    raw.write('late');
    raw.end('late');
  }

  @Get('throw-after/:how')
  throwAfter(@Session() session: Session, @Res() reply: AnyReply, @Param('how') how: string) {
    session.set('how', how);
    if (how === 'redirect') reply.status(302).redirect('/elsewhere');
    if (how === 'send') reply.send('sent');
    if (how === 'end') rawOf(reply).end('ended');
    throw new Error('after the response');
  }

  @Get('reject-after/:how')
  async rejectAfter(@Session() session: Session, @Res() reply: AnyReply, @Param('how') how: string) {
    this.answerOnly(session, reply, how);
    await delay(20);
    throw new Error('after the response');
  }

  @Get('send-twice')
  sendTwice(@Session() session: Session, @Res() reply: AnyReply) {
    session.set('how', 'twice');
    reply.send('first');
    seen.push(attempt(() => reply.send('second')));
  }

  @Get('end-twice')
  async endTwice(@Session() session: Session, @Res() reply: AnyReply) {
    session.set('how', 'twice');
    const raw = rawOf(reply);
    const first = new Promise<unknown>((resolve) => raw.end('first', resolve as () => void));
    const second = new Promise<unknown>((resolve) => raw.end('second', resolve as () => void));
    seen.push(codeOf(await second), codeOf((await first) ?? {}));
    finish();
  }

  @Get('stream-without-save')
  async streamWithoutSave(@Session() session: Session, @Res() reply: AnyReply) {
    session.set('before', 'the first byte');
    const raw = rawOf(reply);
    await new Promise((resolve) => raw.write('first byte, ', resolve));
    seen.push(
      attempt(() => session.set('after', 1)),
      attempt(() => session.delete('started')),
      attempt(() => session.clear()),
      attempt(() => session.pull('started')),
      attempt(() => session.flash('kind', 'message')),
      await session.regenerate().catch(codeOf),
      await session.login('ann').catch(codeOf),
      await session.destroy().catch(codeOf),
      session.get('before'),
    );
    raw.end('last byte');
    finish();
  }

  @Get('stream-with-save')
  async streamWithSave(@Session() session: Session, @Res() reply: AnyReply) {
    session.set('before', 'the first byte');
    await session.save();
    const raw = rawOf(reply);
    await new Promise((resolve) => raw.write('first byte, ', resolve));
    seen.push(await session.increment('later'));
    raw.destroy();
    finish();
  }

  @Get('begun/:how')
  begun(@Session() session: Session, @Res() reply: AnyReply, @Param('how') how: string) {
    session.set('how', how);
    this.answerOnly(session, reply, how);
    // The commit is under way, and nothing has left yet.
    seen.push(attempt(() => session.set('after', 1)));
  }

  @Get('patient/:how')
  async patient(
    @Req() request: IncomingMessage & { raw?: IncomingMessage },
    @Session() session: Session,
    @Res({ passthrough: true }) reply: AnyReply,
    @Param('how') how: string,
  ) {
    const raw = request.raw ?? request;
    requests.push(new WeakRef(raw));
    session.set('how', how);
    seen.push('waiting');
    if (!raw.destroyed) await once(raw.socket, 'close');
    seen.push('gone');
    setTimeout(finish, 50);
    if (how === 'never') return new Promise<never>(() => {});
    if (how === 'throw') throw new Error('after the client was gone');
    if (how === 'stream') return new StreamableFile(Buffer.alloc(500_000));
    if (how === 'redirect') return void reply.status(302).redirect('/elsewhere');
    return 'answered';
  }

  private answerOnly(session: Session, reply: AnyReply, how: string): void {
    session.set('how', how);
    if (how === 'redirect') reply.status(302).redirect('/elsewhere');
    if (how === 'send') reply.send('sent');
    if (how === 'end') rawOf(reply).end('ended');
  }
}

describe.each(PLATFORMS)('a response that has begun on %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp;
  let cookie: string;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    app = await startApp({ platform, databaseUrl: database.url, controllers: [FrozenController] });
  });
  beforeEach(async () => {
    seen = [];
    requests = [];
    done = new Promise((resolve) => (finish = resolve));
    await database.query('DELETE FROM sessions');
    const client = app.client();
    await client.post('/start');
    cookie = client.cookie;
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  const ask = (path: string) => rawRequest(app.url, { path, headers: { cookie } });
  const saved = async () => (await database.query<{ data: object }>('SELECT data FROM sessions'))[0]!.data;

  it.each(['send', 'redirect', 'end', 'writeHead', 'flushHeaders', 'write'])(
    '[answer: frozen response] says that its headers are sent after %s, though it is held',
    async (how) => {
      const response = await ask(`/state/${how}`);
      expect(response.status).toBe(how === 'redirect' ? 302 : 200);
      const hasEnded = ['send', 'redirect', 'end'].includes(how);
      // A hijacked reply counts as sent for Fastify, whatever was sent.
      const isHijacked = platform === 'fastify' && !['send', 'redirect'].includes(how);
      expect(seen).toEqual([
        { headersSent: false, writableEnded: false, sent: false },
        { headersSent: true, writableEnded: hasEnded, sent: hasEnded || isHijacked },
      ]);
    },
  );

  it('[answer: frozen response] refuses headers, and forgets a status and a body that come late', async () => {
    const response = await ask('/late-headers');
    expect(seen).toEqual([...Array.from({ length: 5 }, () => 'ERR_HTTP_HEADERS_SENT'), 'first']);
    expect(response).toMatchObject({ status: 200, statusMessage: 'Fine', text: 'body' });
    expect(response.header('x-own')).toBe('first');
    expect(await saved()).toMatchObject({ late: 'headers' });
  });

  it.each(['throw-after', 'reject-after'])(
    '[answer: frozen response] is not rewritten by a late error: %s',
    async (path) => {
      const redirect = await ask(`/${path}/redirect`);
      expect(redirect.status).toBe(302);
      expect(redirect.header('location')).toBe('/elsewhere');
      expect(redirect.text).not.toContain('rror');
      expect(await saved()).toMatchObject({ how: 'redirect' });
      expect(await ask(`/${path}/send`)).toMatchObject({ status: 200, text: 'sent' });
      expect(await ask(`/${path}/end`)).toMatchObject({ status: 200, text: 'ended' });
    },
  );

  it('[answer: frozen response] is sent once, as the framework has it', async () => {
    expect(await ask('/send-twice')).toMatchObject({ status: 200, text: 'first' });
    // Express refuses the header that goes with a second body; Fastify logs.
    expect(seen).toEqual([platform === 'express' ? 'ERR_HTTP_HEADERS_SENT' : 'did it']);
  });

  it('[answer: frozen response] drops a second end, and tells its callback', async () => {
    expect(await ask('/end-twice')).toMatchObject({ status: 200, text: 'first' });
    await done;
    expect(seen).toEqual(['ERR_STREAM_ALREADY_FINISHED', undefined]);
  });

  it('[answer: after the first byte] refuses changes in a stream', async () => {
    const response = await ask('/stream-without-save');
    expect(response.text).toBe('first byte, last byte');
    await done;
    expect(seen).toEqual([...Array.from({ length: 8 }, () => 'SESSION_COMMITTED'), 'the first byte']);
    expect(await saved()).toEqual({ started: true, before: 'the first byte' });
  });

  it.each(['send', 'redirect', 'end'])('[answer: after the first byte] refuses changes after %s', async (how) => {
    await ask(`/begun/${how}`);
    expect(seen).toEqual(['SESSION_COMMITTED']);
    expect(await saved()).toEqual({ started: true, how });
  });

  it('[answer: after the first byte] keeps what save() wrote before a stream that breaks off', async () => {
    await expect(ask('/stream-with-save')).rejects.toThrow('closed before');
    await done;
    expect(seen).toEqual([1]);
    expect(await saved()).toEqual({ started: true, before: 'the first byte', later: 1 });
  });

  /** A request whose client is gone by the time the handler answers. */
  async function hangUp(path: string): Promise<void> {
    const connection = await RawConnection.open(app.url);
    void connection.send({ path, headers: { cookie } });
    await until(() => seen.includes('waiting'));
    connection.destroy();
    await done;
    expect(seen).toEqual(['waiting', 'gone']);
  }

  it.each(['value', 'stream', 'redirect'])(
    '[answer: client hung up] saves where the handler answered: %s',
    async (how) => {
      await hangUp(`/patient/${how}`);
      await eventually(async () => 'how' in (await saved()));
      expect(await saved()).toEqual({ started: true, how });
    },
  );

  it('[answer: client hung up] saves where the client went while the commit was under way', async () => {
    const connection = await RawConnection.open(app.url);
    await whileRowsAreLocked(database, async () => {
      void connection.send({ path: '/begun/send', headers: { cookie } });
      await until(() => seen.length > 0);
      connection.destroy();
      await delay(20);
    });
    await eventually(async () => 'how' in (await saved()));
    expect(await saved()).toEqual({ started: true, how: 'send' });
  });

  it.each(['never', 'throw'])('[answer: client hung up] discards where no answer came of it: %s', async (how) => {
    await hangUp(`/patient/${how}`);
    expect(await saved()).toEqual({ started: true });
  });

  it('[answer: client hung up] keeps nothing of such a request', async () => {
    for (const how of ['value', 'never', 'stream', 'value']) {
      await hangUp(`/patient/${how}`);
      seen = [];
      done = new Promise((resolve) => (finish = resolve));
    }
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    // The last one may still be held by what serves requests.
    const left = () => requests.slice(0, -1).filter((request) => request.deref()).length;
    for (let turn = 0; turn < 100 && left() > 0; turn++) {
      await delay(10);
      collect();
    }
    expect(left()).toBe(0);
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !condition(); turn++) await delay(2);
}
