import type { ServerResponse } from 'node:http';
import { once } from 'node:events';
import { writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import compress from '@fastify/compress';
import {
  BadRequestException,
  Catch,
  ConflictException,
  Controller,
  Get,
  Header,
  HttpCode,
  HttpException,
  Next,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Redirect,
  Res,
  Sse,
  StreamableFile,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type ArgumentsHost,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import compression from 'compression';
import { openSession, SessionGuard } from 'nestjs-typeorm-session';
import { interval, map, of, take } from 'rxjs';
import { PLATFORMS, type Platform } from './app.js';
import type { RawRequest, RawResponse } from './raw-http.js';

/** What the response of Express and the reply of Fastify have in common, and Fastify's own. */
export interface AnyReply {
  status(code: number): this;
  header(name: string, value: string): this;
  send(body?: unknown): unknown;
  redirect(url: string): unknown;
  readonly raw?: ServerResponse;
  hijack?(): unknown;
}

/** A way to answer, and what the client should see of it. */
export interface ResponseKind extends RawRequest {
  readonly name: string;
  readonly platforms: readonly Platform[];
  readonly status: number;
  /** The body, decompressed; a pattern where there is more to it. */
  readonly wants: string | RegExp;
  readonly wantsHeaders?: Readonly<Record<string, string>>;
  readonly wantsMessage?: string;
  /** Answers from a stream, which has to be destroyed where the answer is replaced. */
  readonly isStream?: boolean;
}

/** Lets a test reach into the handlers. */
export const stage = {
  /** Runs after the session was loaded and changed, and before the handler answers. */
  beforeAnswer: undefined as (() => Promise<void>) | undefined,
  /** The source of the response by the path of the request. */
  streams: new Map<string, Readable>(),
};

/** Five megabytes in which every part can be told from the others. */
export const LARGE = Array.from({ length: 5 * 16 }, (_, index) => String(index).padStart(8, '.').repeat(8192)).join('');
const MEDIUM = 'three hundred kilobytes '.repeat(12_500);

const FILE = join(mkdtempSync(join(tmpdir(), 'response-kinds-')), 'file.txt');
writeFileSync(FILE, 'from a file');

/** Node's own response, taken over from Fastify where it has it. */
export function rawOf(reply: AnyReply): ServerResponse {
  reply.hijack?.();
  return reply.raw ?? (reply as unknown as ServerResponse);
}

/** Changes the session of every request, also of those that reach no handler. */
export class ChangeSession implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const session = await openSession(context);
    session.set('changedBy', context.switchToHttp().getRequest<{ url: string }>().url);
    await stage.beforeAnswer?.();
    return true;
  }
}

class Refuse implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

class FailAfterwards implements NestInterceptor {
  intercept(...[, next]: Parameters<NestInterceptor['intercept']>) {
    const fail = map(() => {
      throw new ConflictException('intercepted');
    });
    return next.handle().pipe(fail);
  }
}

class Decorate implements NestInterceptor {
  intercept(...[, next]: Parameters<NestInterceptor['intercept']>) {
    return next.handle().pipe(map((value) => ({ decorated: value as unknown })));
  }
}

@Catch(BadRequestException)
class AnswerItself implements ExceptionFilter {
  catch(_: unknown, host: ArgumentsHost) {
    host.switchToHttp().getResponse<AnyReply>().status(418).send('filtered');
  }
}

/** A stream that does not know its length, chunk by chunk in turns of its own. */
function streamOf(text: string, path: string, chunkSize = 65_536): Readable {
  let at = 0;
  const stream = new Readable({
    read() {
      setImmediate(() => {
        this.push(at < text.length ? text.slice(at, at + chunkSize) : null);
        at += chunkSize;
      });
    },
  });
  stage.streams.set(path, stream);
  return stream;
}

@Controller('plain')
@UseGuards(SessionGuard, ChangeSession)
class PlainController {
  @Get('text')
  text() {
    return 'plain text';
  }

  @Get('object')
  object() {
    return { kind: 'object' };
  }

  @Get('nothing')
  nothing() {}

  @Get('observable')
  observable() {
    return of('observed');
  }

  @Get('no-content')
  @HttpCode(204)
  noContent() {}

  @Post('created')
  created() {
    return { created: true };
  }

  @Get('web-response')
  webResponse() {
    return new Response('from the web', { status: 202, headers: { 'x-web': 'yes' } });
  }

  @Get('generator')
  async *generator() {
    yield 'one ';
    await delay(5);
    yield 'two';
  }

  @Get('passthrough')
  passthrough(@Res({ passthrough: true }) reply: AnyReply) {
    reply.header('x-own', 'yes').header('set-cookie', 'theme=dark');
    return 'passed through';
  }

  @Get('send-text')
  sendText(@Res() reply: AnyReply) {
    reply.status(203).send('sent');
  }

  @Get('send-object')
  async sendObject(@Res() reply: AnyReply) {
    await delay(1);
    reply.send({ kind: 'sent' });
  }

  @Get('send-buffer')
  sendBuffer(@Res() reply: AnyReply) {
    reply.header('content-type', 'application/octet-stream').send(Buffer.from('bytes'));
  }

  @Get('json')
  json(@Res() response: { json(body: unknown): void }) {
    response.json({ kind: 'json' });
  }

  @Get('end')
  end(@Res() response: ServerResponse) {
    response.end('ended');
  }

  @Get('send-status')
  sendStatus(@Res() response: { sendStatus(code: number): void }) {
    response.sendStatus(202);
  }

  @Get('send-file')
  sendFile(@Res() response: { sendFile(path: string): void }) {
    response.sendFile(FILE);
  }

  @Get('next')
  next(@Next() next: () => void) {
    next();
  }

  @Get('call-not-found')
  callNotFound(@Res() reply: { callNotFound(): void }) {
    reply.callNotFound();
  }

  @Get('redirect')
  @Redirect('/elsewhere', 303)
  redirect() {}

  @Get('res-redirect')
  resRedirect(@Res() reply: AnyReply) {
    reply.status(302).redirect('/elsewhere');
  }

  @Get('file-of-bytes')
  fileOfBytes() {
    return new StreamableFile(Buffer.from('a file'), { type: 'text/plain', disposition: 'attachment' });
  }

  @Get('file-of-stream')
  fileOfStream() {
    return new StreamableFile(streamOf('a streamed file', '/plain/file-of-stream', 4));
  }

  @Get('large')
  large() {
    return new StreamableFile(streamOf(LARGE, '/plain/large'), { length: LARGE.length });
  }

  @Get('pipe')
  pipe(@Res() reply: AnyReply) {
    streamOf('piped by hand', '/plain/pipe', 4).pipe(rawOf(reply));
  }

  @Get('large-pipe')
  largePipe(@Res() reply: AnyReply) {
    streamOf(LARGE, '/plain/large-pipe').pipe(rawOf(reply));
  }

  @Get('pipeline')
  async pipeline(@Res() reply: AnyReply) {
    const source = streamOf('through a pipeline', '/plain/pipeline', 4);
    // Rejects where the answer is replaced, as it does where a client hangs up.
    await pipeline(source, new PassThrough(), rawOf(reply)).catch(() => undefined);
  }

  @Get('two-sources')
  async twoSources(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    const sources = ['left', 'right'].map((text) => streamOf(text, '/plain/two-sources'));
    for (const source of sources) source.pipe(raw, { end: false });
    await Promise.all(sources.map((source) => Promise.race([once(source, 'end'), once(source, 'close')])));
    raw.end();
  }

  @Get('send-stream')
  sendStream(@Res() reply: AnyReply) {
    reply.send(streamOf('sent as a stream', '/plain/send-stream', 4));
  }

  @Get('send-web-stream')
  sendWebStream(@Res() reply: AnyReply) {
    reply.send(new Blob(['sent as a web stream']).stream());
  }

  @Get('trailer')
  trailer(@Res() reply: AnyReply & { trailer(name: string, value: () => Promise<string>): void }) {
    reply.trailer('x-sum', async () => '42');
    reply.send('with a trailer');
  }

  @Get('write')
  async write(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.setHeader('content-type', 'text/plain');
    raw.write('first ');
    await delay(5);
    raw.write('c2Vjb25k', 'base64');
    raw.end(' third');
  }

  @Get('write-callbacks')
  async writeCallbacks(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    const called: string[] = [];
    await new Promise((resolve) => raw.write('first ', resolve));
    called.push('write');
    await new Promise<void>((resolve) => raw.end(called.join(), resolve));
  }

  @Get('write-large')
  async writeLarge(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    for (let at = 0; at < LARGE.length; at += 40_000) {
      if (!raw.write(LARGE.slice(at, at + 40_000))) await once(raw, 'drain');
    }
    raw.end();
  }

  @Get('corked')
  async corked(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.cork();
    raw.write('in one ');
    raw.write('packet');
    await delay(1);
    raw.uncork();
    raw.end();
  }

  @Get('raw-trailer')
  rawTrailer(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.writeHead(200, { trailer: 'x-sum' });
    raw.write('with a trailer');
    raw.addTrailers({ 'x-sum': '42' });
    raw.end();
  }

  @Get('not-hijacked')
  notHijacked(@Res() reply: AnyReply) {
    (reply.raw ?? rawOf(reply)).end('past the framework');
  }

  @Get('flush')
  async flush(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.setHeader('x-own', 'yes');
    raw.flushHeaders();
    await delay(5);
    raw.end('flushed');
  }

  @Get('head/:form')
  head(@Res() reply: AnyReply, @Param('form') form: string) {
    const raw = rawOf(reply);
    raw.setHeader('x-own', 'overwritten').setHeader('x-kept', 'yes');
    const cookies = ['theme=dark', 'lang=en'];
    const object = { 'X-Own': 'yes', 'Set-Cookie': cookies };
    const flat = ['X-Own', 'yes', 'Set-Cookie', cookies[0]!, 'Set-Cookie', cookies[1]!];
    if (form === 'object') raw.writeHead(201, object);
    if (form === 'list') raw.writeHead(201, flat);
    // Node takes pairs, and its types do not say so.
    if (form === 'pairs') raw.writeHead(201, [['X-Own', 'yes'], ...cookies.map((c) => ['Set-Cookie', c])] as never);
    if (form === 'message') raw.writeHead(201, 'Made', object);
    if (form === 'old-name') (raw as unknown as { writeHeader: ServerResponse['writeHead'] }).writeHeader(201, object);
    raw.end('head');
  }

  @Get('double-end')
  doubleEnd(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.end('once');
    raw.end('twice');
  }

  @Get('end-after-send')
  endAfterSend(@Res() reply: AnyReply) {
    reply.send('sent');
    (reply.raw ?? rawOf(reply)).end('ended');
  }

  @Get('hints')
  hints(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    raw.end('hinted');
  }

  @Get('etag')
  @Header('ETag', '"v1"')
  etag() {
    return 'version one';
  }

  @Get('not-modified')
  notModified(@Res() reply: AnyReply) {
    reply.header('etag', '"v1"').status(304).send();
  }

  @Sse('sse')
  sse() {
    return of({ data: 'a' }, { data: 'b' });
  }

  @Sse('slow-sse')
  slowSse() {
    return interval(20).pipe(
      take(3),
      map((n) => ({ data: `n${n}` })),
    );
  }

  @Get('throw/:status')
  throw(@Param('status', ParseIntPipe) status: number) {
    throw new HttpException('thrown', status);
  }

  @Get('refused')
  @UseGuards(Refuse)
  refused() {}

  @Get('failing-interceptor')
  @UseInterceptors(FailAfterwards)
  failingInterceptor() {}

  @Get('interceptor')
  @UseInterceptors(Decorate)
  interceptor() {
    return 'value';
  }

  @Get('failing-pipe')
  failingPipe(@Query('n', ParseIntPipe) n: number) {
    return n;
  }

  @Get('filter')
  @UseFilters(AnswerItself)
  filter() {
    throw new BadRequestException();
  }
}

@Controller('compressed')
@UseGuards(SessionGuard, ChangeSession)
class CompressedController {
  @Get('small')
  small() {
    return { size: 'small' };
  }

  @Get('medium')
  @Header('content-type', 'text/plain')
  medium() {
    return MEDIUM;
  }

  @Get('stream')
  stream() {
    return new StreamableFile(streamOf(MEDIUM, '/compressed/stream'), { type: 'text/plain' });
  }

  @Get('write')
  async write(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.setHeader('content-type', 'text/plain');
    for (let at = 0; at < MEDIUM.length; at += 40_000) {
      if (!raw.write(MEDIUM.slice(at, at + 40_000))) await once(raw, 'drain');
    }
    raw.end();
  }

  @Get('pipe')
  pipe(@Res() reply: AnyReply) {
    const raw = rawOf(reply);
    raw.setHeader('content-type', 'text/plain');
    streamOf(MEDIUM, '/compressed/pipe').pipe(raw);
  }
}

export const KIND_CONTROLLERS = [PlainController, CompressedController];

/** Middleware that takes the response's methods before we do. */
export async function useCompression(app: INestApplication, platform: Platform): Promise<void> {
  if (platform === 'express') app.use('/compressed', compression());
  else await (app as NestFastifyApplication).register(compress);
}

type Wants = Omit<ResponseKind, 'name' | 'path' | 'platforms'> & { path?: string; platforms?: readonly Platform[] };

function kind(name: string, path: string, wants: Partial<Wants> = {}): ResponseKind {
  return { name, path: `/plain/${path}`, platforms: PLATFORMS, status: 200, wants: '', ...wants };
}

function compressed(name: string, path: string, wants: Partial<Wants> = {}): ResponseKind {
  const headers = { 'accept-encoding': 'gzip' };
  return kind(name, '', { path: `/compressed/${path}`, headers, wants: MEDIUM, ...wants });
}

const express = { platforms: ['express'] } as const;
const fastify = { platforms: ['fastify'] } as const;
const twoCookies = { status: 201, wants: 'head', wantsHeaders: { 'x-own': 'yes', 'x-kept': 'yes' } };
const posted = {
  method: 'POST',
  body: '{}',
  headers: { 'content-type': 'application/json' },
  status: 201,
  wants: '{"created":true}',
};
const gzip = { wantsHeaders: { 'content-encoding': 'gzip' } };

/** Every way to answer that we know of. */
export const KINDS: readonly ResponseKind[] = [
  kind('a text', 'text', { wants: 'plain text' }),
  kind('an object', 'object', { wants: '{"kind":"object"}' }),
  kind('nothing', 'nothing'),
  kind('an observable', 'observable', { wants: 'observed' }),
  kind('204', 'no-content', { status: 204 }),
  kind('an answer to a body', 'created', posted),
  kind('a web response', 'web-response', { status: 202, wants: 'from the web', wantsHeaders: { 'x-web': 'yes' } }),
  kind('a generator', 'generator', { wants: 'one two' }),
  kind('a value beside @Res()', 'passthrough', { wants: 'passed through', wantsHeaders: { 'x-own': 'yes' } }),
  kind('@Res() with a text', 'send-text', { status: 203, wants: 'sent' }),
  kind('@Res() with an object, late', 'send-object', { wants: '{"kind":"sent"}' }),
  kind('@Res() with a buffer', 'send-buffer', { wants: 'bytes' }),
  kind('res.json', 'json', { wants: '{"kind":"json"}', ...express }),
  kind('res.end', 'end', { wants: 'ended', ...express }),
  kind('res.sendStatus', 'send-status', { status: 202, wants: 'Accepted', ...express }),
  kind('res.sendFile', 'send-file', { wants: 'from a file', ...express }),
  kind('next() to a 404', 'next', { status: 404, wants: /Cannot GET/, ...express }),
  kind('reply.callNotFound', 'call-not-found', { status: 404, wants: /Cannot GET/, ...fastify }),
  kind('@Redirect()', 'redirect', { status: 303, wants: /^/, wantsHeaders: { location: '/elsewhere' } }),
  kind('res.redirect', 'res-redirect', { status: 302, wants: /^/, wantsHeaders: { location: '/elsewhere' } }),
  kind('a StreamableFile of bytes', 'file-of-bytes', { wants: 'a file' }),
  kind('a StreamableFile of a stream', 'file-of-stream', { wants: 'a streamed file', isStream: true }),
  kind('a large StreamableFile', 'large', { wants: LARGE, isStream: true }),
  kind('a piped stream', 'pipe', { wants: 'piped by hand', isStream: true }),
  kind('a large piped stream', 'large-pipe', { wants: LARGE, isStream: true }),
  kind('a pipeline', 'pipeline', { wants: 'through a pipeline', isStream: true }),
  kind('two piped streams', 'two-sources', { wants: /^(leftright|rightleft)$/, isStream: true }),
  kind('reply.send of a stream', 'send-stream', { wants: 'sent as a stream', isStream: true, ...fastify }),
  kind('reply.send of a web stream', 'send-web-stream', { wants: 'sent as a web stream', ...fastify }),
  kind('reply.trailer', 'trailer', { wants: 'with a trailer', ...fastify }),
  kind('raw writes', 'write', { wants: 'first second third' }),
  kind('raw writes with callbacks', 'write-callbacks', { wants: 'first write' }),
  kind('large raw writes that wait for room', 'write-large', { wants: LARGE }),
  kind('corked writes', 'corked', { wants: 'in one packet' }),
  kind('raw trailers', 'raw-trailer', { wants: 'with a trailer' }),
  kind('a raw response that was not hijacked', 'not-hijacked', { wants: 'past the framework' }),
  kind('flushHeaders', 'flush', { wants: 'flushed', wantsHeaders: { 'x-own': 'yes' } }),
  kind('writeHead with an object', 'head/object', twoCookies),
  kind('writeHead with a list', 'head/list', twoCookies),
  kind('writeHead with pairs', 'head/pairs', twoCookies),
  kind('writeHead with a message', 'head/message', { ...twoCookies, wantsMessage: 'Made' }),
  kind('writeHead by its old name', 'head/old-name', twoCookies),
  kind('a double end', 'double-end', { wants: 'once' }),
  kind('an end after a send', 'end-after-send', { wants: 'sent' }),
  kind('early hints', 'hints', { wants: 'hinted' }),
  kind('an expected 100', 'created', { ...posted, headers: { ...posted.headers, expect: '100-continue' } }),
  kind('HEAD', 'object', { method: 'HEAD', wantsHeaders: { 'content-length': '17' } }),
  kind('HEAD of a stream', 'large', { method: 'HEAD', wantsHeaders: { 'content-length': String(LARGE.length) } }),
  kind('304 by ETag', 'etag', { headers: { 'if-none-match': '"v1"' }, status: 304, ...express }),
  kind('304 by hand', 'not-modified', { status: 304, wantsHeaders: { etag: '"v1"' } }),
  kind('@Sse()', 'sse', { wants: /data: a\n\n[^]*data: b\n\n$/ }),
  kind('@Sse() over time', 'slow-sse', { wants: /data: n0\n\n[^]*data: n2\n\n$/ }),
  ...[400, 401, 403, 404, 409, 418, 422].map((status) =>
    kind(`a thrown ${status}`, `throw/${status}`, { status, wants: /thrown/ }),
  ),
  kind('a guard that refuses', 'refused', { status: 403, wants: /Forbidden/ }),
  kind('an interceptor', 'interceptor', { wants: '{"decorated":"value"}' }),
  kind('an interceptor that fails', 'failing-interceptor', { status: 409, wants: /intercepted/ }),
  kind('a pipe that fails', 'failing-pipe?n=x', { status: 400, wants: /numeric string/ }),
  kind('an exception filter of its own', 'filter', { status: 418, wants: 'filtered' }),
  compressed('a small compressible value', 'small', { wants: '{"size":"small"}' }),
  compressed('a compressed value', 'medium', gzip),
  compressed('a compressed value for a client that takes none', 'medium', { headers: {} }),
  compressed('a compressed stream', 'stream', { ...gzip, isStream: true }),
  compressed('compressed raw writes that wait for room', 'write'),
  compressed('a compressed pipe', 'pipe', { isStream: true }),
  compressed('HEAD of a compressed value', 'medium', { method: 'HEAD', wants: '' }),
];

/** The body as it was before a middleware compressed it. */
export function decoded(response: RawResponse): string {
  switch (response.header('content-encoding')) {
    case 'gzip':
      return gunzipSync(response.body).toString();
    case 'br':
      return brotliDecompressSync(response.body).toString();
    default:
      return response.text;
  }
}
