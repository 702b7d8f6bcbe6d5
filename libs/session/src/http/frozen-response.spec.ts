import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freeze } from './frozen-response.js';

type Handler = (response: ServerResponse) => void;

interface Answer {
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

const servers: Server[] = [];

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function askHttp1(handler: Handler): Promise<Answer> {
  const port = await listen(createServer((_, response) => handler(response)));
  const [answer] = (await once(request({ port, agent: false }).end(), 'response')) as [IncomingMessage];
  return { headers: answer.headers, text: await textOf(answer) };
}

async function askHttp2(handler: Handler): Promise<Answer> {
  const port = await listen(createHttp2Server((_, response) => handler(response as unknown as ServerResponse)));
  const client = connect(`http://127.0.0.1:${port}`);
  const stream = client.request();
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  const text = await textOf(stream);
  client.close();
  return { headers, text };
}

describe.each([
  ['Node', askHttp1],
  ['HTTP/2', askHttp2],
] as const)('a frozen response of %s', (_, ask) => {
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  const changes: readonly (readonly [string, (response: ServerResponse) => unknown])[] = [
    ['setHeader', (response) => response.setHeader('x-late', 'no')],
    ['removeHeader', (response) => response.removeHeader('x-early')],
    ['appendHeader', (response) => response.appendHeader('x-early', 'no')],
  ];

  it.each(changes)('refuses %s as one whose head is out, and is as before when it is thawed', async (_name, change) => {
    let refused: unknown;
    let saidSent: boolean[] = [];
    const { headers, text } = await ask((response) => {
      response.setHeader('x-early', 'yes');
      const thaw = freeze(response);
      saidSent = [response.headersSent];
      try {
        change(response);
      } catch (error) {
        refused = error;
      }
      thaw(response);
      saidSent.push(response.headersSent);
      response.setHeader('x-after', 'yes');
      response.end('body');
      saidSent.push(response.headersSent);
    });
    expect(refused).toMatchObject({ code: 'ERR_HTTP_HEADERS_SENT' });
    expect(saidSent).toEqual([true, false, true]);
    expect(headers).toMatchObject({ 'x-early': 'yes', 'x-after': 'yes' });
    expect(headers).not.toHaveProperty('x-late');
    expect(text).toBe('body');
  });

  it('goes through what a middleware has put on it, and gives it back', async () => {
    const { headers } = await ask((response) => {
      const { setHeader } = response;
      const own: ServerResponse['setHeader'] = (name, value) => setHeader.call(response, `x-${name}`, value);
      response.setHeader = own;
      const thaw = freeze(response);
      expect(() => response.setHeader('late', 'no')).toThrow('after they are sent');
      thaw(response);
      response.setHeader('after', 'yes');
      response.end();
    });
    expect(headers).toMatchObject({ 'x-after': 'yes' });
    expect(headers).not.toHaveProperty('x-late');
  });
});
