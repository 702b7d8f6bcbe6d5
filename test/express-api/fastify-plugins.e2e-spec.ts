import compress from '@fastify/compress';
import cookie from '@fastify/cookie';
import csrf from '@fastify/csrf-protection';
import flash from '@fastify/flash';
import { Controller, Get, HttpCode, Post, Req, Res, type INestApplication } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it } from '@jest/globals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Client } from '../support/client.js';
import { useLab } from '../support/lab.js';
import type { View } from '../support/view-lab.js';

type ViewRequest = FastifyRequest & { session: View };

@Controller()
class PagesController {
  @Get('form')
  form(@Res({ passthrough: true }) reply: FastifyReply) {
    return { token: reply.generateCsrf(), messages: reply.flash('info'), filler: 'x'.repeat(2_000) };
  }

  @Post('form')
  @HttpCode(200)
  sent(@Req() request: ViewRequest) {
    request.flash('info', 'sent');
    request.session.sent = (Number(request.session.sent) || 0) + 1;
    return { sent: request.session.sent as number };
  }
}

interface Page {
  readonly token: string;
  readonly messages: string[];
}

describe('@fastify/cookie, compress, flash and csrf-protection', () => {
  const lab = useLab('fastify', {
    controllers: [PagesController],
    session: { requestSession: true },
    async prepare(app: INestApplication) {
      const fastify = app as NestFastifyApplication;
      await fastify.register(cookie as never);
      await fastify.register(compress as never, { threshold: 0 });
      await fastify.register(flash as never);
      await fastify.register(csrf as never, { sessionPlugin: '@fastify/session' });
      const instance = fastify.getHttpAdapter().getInstance();
      instance.addHook('preHandler', (request, reply, done) => {
        // The lab's own requests carry no token.
        if (request.method === 'GET' || request.url.startsWith('/do/')) return done();
        return instance.csrfProtection(request as never, reply as never, done);
      });
    },
  });

  const page = async (client: Client) => (await client.get<Page>('/form')).body;
  const post = (client: Client, token: string) =>
    client.post('/form', undefined, { headers: { 'x-csrf-token': token } });

  it('keep the secret of their tokens in the session, and know it on any node', async () => {
    const client = lab.client();
    const { token } = await page(client);
    expect((await lab.row()).data).toEqual({ _csrf: expect.any(String) as unknown, flash: {} });
    expect((await post(lab.at(client, 1), 'forged')).status).toBe(403);
    expect((await post(lab.client(1), token)).status).toBe(403);
    expect((await post(lab.at(client, 1), token)).body).toEqual({ sent: 1 });
    expect((await page(client)).messages).toEqual(['sent']);
    expect((await page(client)).messages).toEqual([]);
    expect((await post(client, token)).body).toEqual({ sent: 2 });
  });

  it('get our cookie on a compressed response', async () => {
    const reply = await lab.client().get('/form', { headers: { 'accept-encoding': 'gzip' } });
    expect(reply.headers.get('content-encoding')).toBe('gzip');
    expect(reply.setCookies.filter((line) => line.startsWith('sid='))).toHaveLength(1);
    expect(JSON.parse(reply.text)).toMatchObject({ messages: [] });
  });
});
