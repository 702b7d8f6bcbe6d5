import { once } from 'node:events';
import {
  createServer,
  IncomingMessage,
  request,
  ServerResponse,
  type OutgoingHttpHeaders,
  type Server,
} from 'node:http';
import { Socket, type AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { makeRoomForHold, prepareResponses } from './held-methods.js';
import { holdResponse, type ReplacementResponse, type ResponseGate } from './held-response.js';
import type { HeaderTarget } from './response-headers.js';

const REPLACEMENT = { status: 503, headers: { 'content-type': 'application/json' }, body: '{"ours":true}' };

interface Answer {
  readonly status: number;
  readonly message: string;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** A gate that a test opens by hand, or that is open from the start. */
class TestGate implements ResponseGate {
  readonly statuses: number[] = [];
  readonly reported: unknown[] = [];
  open: (replacement?: ReplacementResponse) => void = () => {};
  fail: (error: Error) => void = () => {};
  beforeHeaders: () => void = () => {};
  isIdle = false;

  constructor(private readonly outcome: 'later' | 'now' | ReplacementResponse = 'later') {}

  commit(status: number) {
    this.statuses.push(status);
    if (this.outcome === 'now') return undefined;
    if (this.outcome !== 'later') return this.outcome;
    return new Promise<ReplacementResponse | undefined>((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }

  setHeaders(target: HeaderTarget): void {
    this.beforeHeaders();
    target.setHeader('X-Ours', 'yes');
  }

  report(error: unknown): void {
    this.reported.push(error);
  }
}

/** As Express gives each application one. */
function preparedPrototype(parent: object): object {
  const prototype = Object.create(parent) as object;
  prepareResponses(prototype);
  return prototype;
}

const PREPARED = preparedPrototype(ServerResponse.prototype);
const MOUNTED = preparedPrototype(Object.create(PREPARED) as object);

it('[mounted] a response stays held that goes back to the application around ours', async () => {
  const gate = new TestGate();
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  Object.setPrototypeOf(response, MOUNTED);
  holdResponse(response, gate);
  response.end('body');
  Object.setPrototypeOf(response, ServerResponse.prototype);
  expect({ statuses: gate.statuses, writableEnded: response.writableEnded }).toEqual({
    statuses: [200],
    writableEnded: true,
  });
  expect(response.writeHead).not.toBe(ServerResponse.prototype.writeHead);
  gate.open();
  await turn();
  expect(response.getHeader('x-ours')).toBe('yes');
});

describe.each([
  ['as it comes', undefined, false],
  ['of an application that is prepared', PREPARED, true],
  ['of one that is mounted in it', MOUNTED, true],
  ['of one that is mounted in a stranger', MOUNTED, false],
])('holdResponse of a response %s', (_state, prototype, hasRoom) => {
  let server: Server;
  let handler: (response: ServerResponse) => void;

  beforeAll(async () => {
    server = createServer((_, response) => {
      if (hasRoom) makeRoomForHold(response);
      if (prototype) Object.setPrototypeOf(response, prototype);
      handler(response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    handler = (response) => response.end();
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  async function ask(method = 'GET'): Promise<Answer> {
    const { port } = server.address() as AddressInfo;
    const sent = request({ port, method, agent: false }).end();
    const [received] = (await once(sent, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of received) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    return { status: received.statusCode!, message: received.statusMessage!, headers: received.headers, text };
  }

  /** Runs a handler on a held response, and gives what it returned and the answer that is still to come. */
  function hold<R>(gate: ResponseGate, handle: (response: ServerResponse) => R, before = (_: ServerResponse) => {}) {
    const result = new Promise<{ value: R; response: ServerResponse }>((resolve, reject) => {
      handler = (response) => {
        before(response);
        holdResponse(response, gate);
        try {
          resolve({ value: handle(response), response });
        } catch (error) {
          reject(error as Error);
        }
      };
    });
    const answer = ask();
    answer.catch(() => undefined);
    return { result, answer };
  }

  function attempt(work: () => unknown): unknown {
    try {
      return work();
    } catch (error) {
      return (error as { code?: string }).code;
    }
  }

  it('passes at once where the gate has nothing to wait for', async () => {
    const gate = new TestGate('now');
    const { result, answer } = hold(gate, (response) => {
      response.writeHead(201, 'Made', { 'x-theirs': 'yes' });
      const isOut = response.headersSent;
      response.end('body');
      return isOut;
    });
    expect((await result).value).toBe(true);
    const { headers, ...rest } = await answer;
    expect(rest).toEqual({ status: 201, message: 'Made', text: 'body' });
    expect(headers).toMatchObject({ 'x-ours': 'yes', 'x-theirs': 'yes' });
    expect(gate.statuses).toEqual([201]);
  });

  it('asks the gate once', async () => {
    const gate = new TestGate();
    const { result, answer } = hold(gate, (response) => {
      response.writeHead(200);
      response.flushHeaders();
      response.write('a');
      response.end('b');
    });
    await result;
    gate.open();
    expect((await answer).text).toBe('ab');
    expect(gate.statuses).toEqual([200]);
  });

  it.each([
    ['a status that is none', (r: ServerResponse) => r.writeHead(42), 'ERR_HTTP_INVALID_STATUS_CODE'],
    ['a status that was set', (r: ServerResponse) => ((r.statusCode = 1000), r.end()), 'ERR_HTTP_INVALID_STATUS_CODE'],
    ['a message with a line break', (r: ServerResponse) => r.writeHead(200, 'a\r\nb'), 'ERR_INVALID_CHAR'],
    ['a header with a line break', (r: ServerResponse) => r.writeHead(200, { a: 'b\r\n' }), 'ERR_INVALID_CHAR'],
    ['one of several', (r: ServerResponse) => r.writeHead(200, { a: 'b', c: ['d\r\n'] }), 'ERR_INVALID_CHAR'],
    ['a header of no name', (r: ServerResponse) => r.writeHead(200, { 'a b': 'c' }), 'ERR_INVALID_HTTP_TOKEN'],
    [
      'a header of no value',
      (r: ServerResponse) => r.writeHead(200, { a: undefined }),
      'ERR_HTTP_INVALID_HEADER_VALUE',
    ],
    ['a list with a name too many', (r: ServerResponse) => r.writeHead(200, ['a']), 'ERR_HTTP_INVALID_HEADER_VALUE'],
    ['a body that is a number', (r: ServerResponse) => r.end(42), 'ERR_INVALID_ARG_TYPE'],
    ['a chunk that is nothing', (r: ServerResponse) => r.write(null), 'ERR_INVALID_ARG_TYPE'],
  ])('[held head] refuses %s before anything is committed', async (_, work, code) => {
    const gate = new TestGate();
    const { result, answer } = hold(gate, (response) => {
      const refusal = attempt(() => work(response));
      const { statuses } = gate;
      const before = [...statuses];
      response.statusCode = 500;
      response.statusMessage = '';
      response.end('the handler can still answer');
      return { refusal, before };
    });
    expect((await result).value).toEqual({ refusal: code, before: [] });
    gate.open();
    expect(await answer).toMatchObject({ status: 500, text: 'the handler can still answer' });
  });

  it('refuses a bad chunk of a body that is held', async () => {
    const gate = new TestGate();
    const { result, answer } = hold(gate, (response) => {
      response.write('good');
      const refusal = attempt(() => response.write(42));
      response.end();
      return refusal;
    });
    expect((await result).value).toBe('ERR_INVALID_ARG_TYPE');
    gate.open();
    expect((await answer).text).toBe('good');
  });

  it('refuses a second head, also after the end and after its answer was replaced', async () => {
    const gate = new TestGate();
    const { result, answer } = hold(gate, (response) => {
      response.writeHead(200);
      const refusals = [attempt(() => response.writeHead(500))];
      response.end();
      return [...refusals, attempt(() => response.writeHead(500))];
    });
    const { value, response } = await result;
    gate.open(REPLACEMENT);
    expect((await answer).status).toBe(503);
    expect([...value, attempt(() => response.writeHead(500))]).toEqual(Array(3).fill('ERR_HTTP_HEADERS_SENT'));
  });

  it('asks for patience from 64 KiB on, and says when there is room', async () => {
    const gate = new TestGate();
    let drains = 0;
    const { result, answer } = hold(gate, (response) => {
      response.on('drain', () => drains++);
      return [response.write('.'.repeat(65_535)), response.write('.')];
    });
    const { value, response } = await result;
    expect(value).toEqual([true, false]);
    gate.open();
    while (drains === 0) await turn();
    response.end();
    expect((await answer).text).toHaveLength(65_536);
  });

  it('gives back the methods that a middleware had put on the response', async () => {
    const gate = new TestGate();
    const names: string[] = [];
    const { result, answer } = hold(
      gate,
      (response) => response.end('body'),
      (response) => {
        const { setHeader } = response;
        response.setHeader = (name: string, value) => (names.push(name), setHeader.call(response, name, value));
      },
    );
    const { response } = await result;
    expect(() => response.setHeader('late', 'no')).toThrow('after they are sent');
    gate.open();
    expect((await answer).headers).toMatchObject({ 'x-ours': 'yes' });
    expect((await answer).headers).not.toHaveProperty('late');
    expect(names).toEqual(['late', 'X-Ours']);
    expect(Object.keys(response)).not.toContain('headersSent');
  });

  it.each(['later', 'now', REPLACEMENT] as const)(
    'has the last word on a head that was wrapped after it: %p',
    async (outcome) => {
      const gate = new TestGate(outcome);
      const { result, answer } = hold(gate, (response) => {
        const { writeHead } = response;
        response.writeHead = function (this: ServerResponse, ...args: Parameters<typeof writeHead>) {
          this.setHeader('x-ours', 'theirs').setHeader('x-theirs', 'yes');
          return writeHead.apply(this, args);
        } as typeof writeHead;
        response.end('body');
      });
      await result;
      gate.open();
      expect((await answer).headers).toMatchObject({ 'x-ours': 'yes', 'x-theirs': 'yes' });
    },
  );

  it('replaces an answer at once where the gate says so at once', async () => {
    const { result, answer } = hold(new TestGate(REPLACEMENT), (response) => {
      response.setHeader('content-type', 'text/html');
      response.write('theirs');
      response.end('theirs too');
    });
    await result;
    expect(await answer).toMatchObject({ status: 503, text: REPLACEMENT.body });
    expect((await answer).headers).toMatchObject({ 'content-type': 'application/json', 'x-ours': 'yes' });
  });

  it('tells the callbacks of an answer that was replaced', async () => {
    const gate = new TestGate();
    const errors: unknown[] = [];
    const { result, answer } = hold(gate, (response) => {
      response.write('theirs', (error) => errors.push((error as { code?: string }).code));
      response.end(() => errors.push('end'));
    });
    await result;
    gate.open(REPLACEMENT);
    await answer;
    expect(errors).toEqual(['ERR_STREAM_ALREADY_FINISHED', 'end']);
  });

  it('closes the connection under a handler that is still writing, and only then', async () => {
    for (const [end, connection] of [
      [true, 'keep-alive'],
      [false, 'close'],
    ] as const) {
      const gate = new TestGate();
      const { result, answer } = hold(gate, (response) => {
        // As the handlers of server-sent events do.
        response.setHeader('connection', 'keep-alive');
        response.write('theirs');
        if (end) response.end();
      });
      await result;
      gate.open(REPLACEMENT);
      expect((await answer).headers.connection).toBe(connection);
    }
  });

  it('sends what several sources say, and waits for room in all of them', async () => {
    const gate = new TestGate();
    const sources = ['a', 'b'].map((letter) => Readable.from(Array.from({ length: 40 }, () => letter.repeat(10_000))));
    const { result, answer } = hold(gate, (response) => {
      for (const source of sources) source.pipe(response, { end: false });
    });
    const { response } = await result;
    await delay(10);
    expect(sources.map((source) => source.isPaused())).toEqual([true, true]);
    gate.open();
    await Promise.all(sources.map((source) => once(source, 'end')));
    response.end();
    expect((await answer).text).toHaveLength(800_000);
  });

  it('leaves a source alone that was taken away meanwhile', async () => {
    const gate = new TestGate();
    const source = Readable.from(['a', 'b', 'c']);
    const { result, answer } = hold(gate, (response) => source.pipe(response));
    const { response } = await result;
    await delay(5);
    source.unpipe(response);
    gate.open();
    await delay(5);
    expect(source.readableFlowing).not.toBe(true);
    response.end('!');
    expect((await answer).text).toMatch(/!$/);
  });

  it('destroys the sources of an answer that was replaced, also one that comes late', async () => {
    const gate = new TestGate();
    const sources = [0, 1].map(() => new Readable({ read() {} }));
    const { result, answer } = hold(gate, (response) => {
      sources[0]!.pipe(response);
      sources[0]!.push('theirs');
    });
    const { response } = await result;
    await turn();
    gate.open(REPLACEMENT);
    expect(await answer).toMatchObject({ status: 503, text: REPLACEMENT.body });
    sources[1]!.pipe(response);
    sources[1]!.push('late');
    await delay(5);
    expect(sources.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });

  it('destroys a source that comes after the client has gone, where the answer is replaced', async () => {
    const gate = new TestGate();
    const source = new Readable({ read() {} });
    const { result, answer } = hold(gate, (response) => {
      response.write('theirs');
      response.destroy();
    });
    const { response } = await result;
    await expect(answer).rejects.toThrow('socket hang up');
    source.pipe(response);
    source.push('theirs');
    await delay(5);
    gate.open(REPLACEMENT);
    await delay(5);
    expect(source.destroyed).toBe(true);
  });

  it('reports an error that has no caller left, and breaks the response off', async () => {
    const first = new TestGate();
    const broken = hold(first, (response) => response.end('body'));
    await broken.result;
    first.fail(new Error('a bug in the gate'));
    await expect(broken.answer).rejects.toThrow('socket hang up');
    expect(first.reported).toEqual([new Error('a bug in the gate')]);

    for (const replacement of [undefined, REPLACEMENT]) {
      const gate = new TestGate();
      gate.beforeHeaders = () => {
        throw new Error('a bug in the headers');
      };
      const { result, answer } = hold(gate, (response) => response.end('body'));
      await result;
      gate.open(replacement);
      await expect(answer).rejects.toThrow('socket hang up');
      expect(gate.reported).toEqual([new Error('a bug in the headers')]);
    }
  });

  describe('[idle head] of a request that has nothing to commit', () => {
    function idleGate(...outcome: ConstructorParameters<typeof TestGate>) {
      return Object.assign(new TestGate(...outcome), { isIdle: true });
    }

    it.each([
      ['none', {}],
      ['some', { 'x-theirs': 'yes', 'content-length': 4, 'set-cookie': ['a=1', 'b=2'] }],
      ['ours in other letters', { 'x-OURS': 'no', 'x-theirs': 'yes' }],
    ])('adds our headers to those of an object that stays as it is: %s', async (_, given) => {
      const before = Object.freeze({ ...given });
      const { result, answer } = hold(idleGate('now'), (response) => response.writeHead(201, given).end('body'));
      await result;
      const { status, headers, text } = await answer;
      expect({ status, text }).toEqual({ status: 201, text: 'body' });
      const expected = Object.entries(before).map(([name, value]) => [name.toLowerCase(), value]);
      const texts = expected.map(([name, value]) => [name, Array.isArray(value) ? value : String(value)]);
      expect(headers).toMatchObject({ ...Object.fromEntries(texts), 'x-ours': 'yes' });
      expect(given).toEqual(before);
    });

    it.each([
      [
        'a header that was set before',
        (r: ServerResponse) => r.setHeader('x-theirs', 'yes').writeHead(200, { a: '1' }),
      ],
      ['a list', (r: ServerResponse) => r.writeHead(200, ['x-theirs', 'yes', 'a', '1'])],
      ['a message', (r: ServerResponse) => r.writeHead(200, 'Fine', { 'x-theirs': 'yes', a: '1' })],
      ['no object', (r: ServerResponse) => r.setHeader('x-theirs', 'yes').setHeader('a', '1').writeHead(200)],
    ])('adds our headers to %s', async (_, begin) => {
      const { result, answer } = hold(idleGate('now'), (response) => begin(response).end());
      await result;
      expect((await answer).headers).toMatchObject({ 'x-theirs': 'yes', a: '1', 'x-ours': 'yes' });
    });

    it('has our headers also on the answer that follows a head which Node refuses', async () => {
      const { result, answer } = hold(idleGate('now'), (response) => {
        const refusal = attempt(() => response.writeHead(200, { a: 'b\r\n' }));
        response.writeHead(500, { 'x-theirs': 'yes' }).end('the handler can still answer');
        return refusal;
      });
      expect((await result).value).toBe('ERR_INVALID_CHAR');
      const { status, headers } = await answer;
      expect(status).toBe(500);
      expect(headers).toMatchObject({ 'x-theirs': 'yes', 'x-ours': 'yes' });
    });

    it('comes after what a middleware adds that took writeHead later', async () => {
      const { result, answer } = hold(idleGate('now'), (response) => {
        const { writeHead } = response;
        response.writeHead = function (this: ServerResponse, ...args: Parameters<typeof writeHead>) {
          this.setHeader('x-ours', 'no');
          return writeHead.apply(this, args);
        } as typeof writeHead;
        response.writeHead(200, { 'x-theirs': 'yes' }).end();
      });
      await result;
      expect((await answer).headers).toMatchObject({ 'x-theirs': 'yes', 'x-ours': 'yes' });
    });
  });

  describe.each([true, false])('[held head] of a gate that is idle: %s, and has something to wait for', (isIdle) => {
    const gateOf = (...outcome: ConstructorParameters<typeof TestGate>) =>
      Object.assign(new TestGate(...outcome), { isIdle });

    it('has the headers of the object as it was, and ours', async () => {
      const gate = gateOf();
      const { result, answer } = hold(gate, (response) => {
        const given: OutgoingHttpHeaders = { 'x-theirs': 'yes', 'x-ours': 'no', 'set-cookie': ['a=1', 'b=2'] };
        response.writeHead(202, given);
        given['x-theirs'] = given['x-late'] = 'no';
        response.end('body');
        return [response.headersSent, response.statusCode];
      });
      expect((await result).value).toEqual([true, 202]);
      gate.open();
      const { status, headers, text } = await answer;
      expect({ status, text }).toEqual({ status: 202, text: 'body' });
      expect(headers).toMatchObject({ 'x-theirs': 'yes', 'x-ours': 'yes', 'set-cookie': ['a=1', 'b=2'] });
      expect(headers).not.toHaveProperty('x-late');
    });

    it.each(['at once', 'later'])('has those that an answer in its place can have, %s', async (when) => {
      const gate = gateOf(when === 'later' ? 'later' : REPLACEMENT);
      const { result, answer } = hold(gate, (response) =>
        response.writeHead(200, { 'x-theirs': 'yes', etag: '"theirs"', 'set-cookie': ['a=1', 'b=2'] }).end('body'),
      );
      await result;
      gate.open(REPLACEMENT);
      const { status, headers, text } = await answer;
      expect({ status, text }).toEqual({ status: 503, text: REPLACEMENT.body });
      expect(headers).toMatchObject({ 'x-theirs': 'yes', 'x-ours': 'yes', 'set-cookie': ['a=1', 'b=2'] });
      expect(headers).not.toHaveProperty('etag');
    });
  });
});
