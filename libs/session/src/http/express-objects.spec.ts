import { once, type EventEmitter } from 'node:events';
import { Agent, createServer, get, IncomingMessage, ServerResponse, type Server } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { connect, Socket, type AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { afterEach, describe, expect, it } from '@jest/globals';
import express, { type Express } from 'express';
import { makeExpressObjects } from './express-objects.js';

type Pair = [request: IncomingMessage, response: ServerResponse];

/** V8 from 13 on shares hidden classes by itself, and the server stays as it is. */
const isNeeded = Number.parseInt(process.versions.v8, 10) < 13;

setFlagsFromString('--allow-natives-syntax');
const haveSameHiddenClass = runInThisContext('(one, other) => %HaveSameMap(one, other)') as (
  one: object,
  other: object,
) => boolean;

describe('[express objects]', () => {
  const servers: Server[] = [];

  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function start({ isMade }: { isMade: boolean }, application: Express = express()) {
    const server = createServer(application);
    if (isMade) makeExpressObjects(server, application);
    return { server, application, port: await listen(server) };
  }

  /** What a handler has in its hands for two requests at once, after what an application puts there. */
  async function pairs(isMade: boolean): Promise<[Pair, Pair][]> {
    const application = express();
    const met: [Pair, Pair][] = [];
    let waiting: Pair | undefined;
    application.use((request, response, next) => {
      Object.assign(request, { user: 'ann', cart: [] });
      response.locals['title'] = 'Shop';
      Object.assign(response, { log: {} });
      next();
    });
    application.get('/', (request, response) => {
      const pair: Pair = [request, response];
      if (!waiting) return void (waiting = pair);
      met.push([waiting, pair]);
      waiting[1].end();
      waiting = undefined;
      response.end();
    });
    const { port } = await start({ isMade }, application);
    const agents = [new Agent({ keepAlive: true }), new Agent({ keepAlive: true })];
    const ask = (agent: Agent) =>
      new Promise<void>((resolve, reject) => {
        get({ port, agent, host: '127.0.0.1' }, (answer) => answer.resume().once('end', resolve)).once('error', reject);
      });
    // V8 settles how large the objects are with the first few.
    for (let turn = 0; turn < 30; turn++) await Promise.all(agents.map(ask));
    for (const agent of agents) agent.destroy();
    return met;
  }

  it('share their hidden classes, whatever Express and a middleware have put on them', async () => {
    const met = await pairs(true);
    expect(met).toHaveLength(30);
    for (const [one, other] of met.slice(-10)) {
      expect([haveSameHiddenClass(one[0], other[0]), haveSameHiddenClass(one[1], other[1])]).toEqual([true, true]);
    }
  });

  it('have one each where Express changes their prototypes, but with a newer V8', async () => {
    for (const [one, other] of (await pairs(false)).slice(-10)) {
      expect([haveSameHiddenClass(one[0], other[0]), haveSameHiddenClass(one[1], other[1])]).toEqual([
        !isNeeded,
        !isNeeded,
      ]);
    }
  });

  it('are of Node still, and of Express from the beginning', async () => {
    const { server, application, port } = await start({ isMade: true });
    const prototypes: unknown[] = [];
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      prototypes.push(Object.getPrototypeOf(request), Object.getPrototypeOf(response));
    });
    application.get('/:name', (request, response) => {
      const isOfNode = [request instanceof IncomingMessage, response instanceof ServerResponse];
      response.status(201).json({ isOfNode, own: Object.hasOwn(request, 'room'), ...request.params, ...request.query });
    });
    const answer = await fetch(`http://127.0.0.1:${port}/ann?size=2`);
    expect([answer.status, await answer.json()]).toEqual([
      201,
      { isOfNode: [true, true], own: false, name: 'ann', size: '2' },
    ]);
    const born = isNeeded
      ? [application.request, application.response]
      : [IncomingMessage.prototype, ServerResponse.prototype];
    expect([prototypes[0] === born[0], prototypes[1] === born[1]]).toEqual([true, true]);
  });

  it.each(['upgrade', 'connect'] as const)('are Node’s own for who listens for %s', async (event) => {
    const { server, port } = await start({ isMade: true });
    const asked = once(server, event) as Promise<[IncomingMessage & { query?: unknown }, { destroy(): void }]>;
    const client = connect(port, '127.0.0.1');
    client.on('error', () => undefined);
    const line = event === 'connect' ? 'CONNECT shop.test:443' : 'GET /?size=2';
    client.write(`${line} HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    const [request, socket] = await asked;
    // Express has a getter of this name and no setter.
    request.query = { size: '2' };
    expect([Object.getPrototypeOf(request) === IncomingMessage.prototype, request.query]).toEqual([
      true,
      { size: '2' },
    ]);
    socket.destroy();
    client.destroy();
  });

  it('leave what somebody else makes for an upgrade as it is', () => {
    class OwnRequest extends IncomingMessage {}
    const application = express();
    const server = createServer(application);
    makeExpressObjects(server, application);
    const request = new OwnRequest(new Socket());
    const heard: unknown[] = [];
    server.on('upgrade', (upgraded) => heard.push(Object.getPrototypeOf(upgraded)));
    server.emit('upgrade', request, request.socket, Buffer.alloc(0));
    expect(heard.map((prototype) => prototype === OwnRequest.prototype)).toEqual([true]);
  });

  it.each(['the server', 'its prototype'])('pass by an emit that somebody has put on %s', async (place) => {
    const heard: unknown[] = [];
    const application = express();
    application.get('/', (_, response) => response.send('right'));
    const server = createServer(application);
    const prototype = Object.getPrototypeOf(server) as EventEmitter;
    const target = place === 'the server' ? server : prototype;
    const { emit } = prototype;
    const putOn = () => {
      target.emit = function (event: string | symbol, ...args: unknown[]) {
        heard.push(event);
        return emit.call(this, event, ...args);
      };
    };
    try {
      if (target === server) putOn();
      makeExpressObjects(server, application);
      if (target === prototype) putOn();
      const port = await listen(server);
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('right');
    } finally {
      prototype.emit = emit;
    }
    expect(heard).toContain('request');
  });

  it('are those of a server that was given classes', async () => {
    class OwnResponse extends ServerResponse {}
    const application = express();
    const server = createServer({ ServerResponse: OwnResponse }, application);
    const { emit } = server;
    makeExpressObjects(server, application);
    expect(server.emit).toBe(emit);
    let isOwn = false;
    server.prependListener('request', (_, response: ServerResponse) => (isOwn = response instanceof OwnResponse));
    application.get('/', (_, response) => response.send('right'));
    const port = await listen(server);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('right');
    expect(isOwn).toBe(true);
  });

  it('are left alone on a server of another kind', () => {
    const server = createHttp2Server();
    const { emit } = server;
    makeExpressObjects(server as unknown as Server, express());
    expect(server.emit).toBe(emit);
  });
});
