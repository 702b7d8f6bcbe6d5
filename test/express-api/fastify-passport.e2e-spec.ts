import fastifyPassport from '@fastify/passport';
import {
  Body,
  Controller,
  Get,
  HttpCode,
  Post,
  Req,
  Res,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it } from '@jest/globals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CurrentSession, Session } from 'nestjs-typeorm-session';
import { Strategy } from 'passport-local';
import type { Client } from '../support/client.js';
import { times, useLab } from '../support/lab.js';
import type { View } from '../support/view-lab.js';
import { checkPassword, findUser, type User } from '../support/users.js';

const DAY = 86_400_000;

type ViewRequest = FastifyRequest & { session: View };

/** One strategy, and one user, per process: passports of its own would serve each node. */
const { Authenticator } = fastifyPassport;
const passport = new Authenticator();
passport.use(
  'local',
  new Strategy((name, password, done) => done(null, checkPassword(name, password) ?? false)) as never,
);
passport.registerUserSerializer(async (user: User) => user.id);
passport.registerUserDeserializer(async (id: number) => findUser(id) ?? false);

/** `@fastify/passport` as a guard: what answers, or says who it is, is its handler. */
class LocalGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const [request, reply] = [
      context.switchToHttp().getRequest<FastifyRequest>(),
      context.switchToHttp().getResponse<FastifyReply>(),
    ];
    const keepSessionInfo = request.url.includes('keep');
    await new Promise<void>((resolve, reject) => {
      const decide = async (_request: unknown, _reply: unknown, error: unknown, user: unknown) => {
        if (error || !user) return reject((error as Error) ?? new UnauthorizedException());
        await request.logIn(user as User, { keepSessionInfo });
        resolve();
      };
      const handler = passport.authenticate('local', decide as never) as (
        this: unknown,
        request: FastifyRequest,
        reply: FastifyReply,
      ) => Promise<void>;
      handler.call(request.server, request, reply).catch(reject);
    });
    return true;
  }
}

@Controller()
class AccountController {
  constructor(private readonly current: CurrentSession) {}

  @Post('login')
  @UseGuards(LocalGuard)
  login(@Res() reply: FastifyReply) {
    void reply.redirect('/profile', 302);
  }

  @Post('login-and-keep')
  @UseGuards(LocalGuard)
  loginAndKeep(@Res() reply: FastifyReply) {
    void reply.redirect('/profile', 302);
  }

  @Post('login-and-remember')
  @UseGuards(LocalGuard)
  loginAndRemember(@Req() request: ViewRequest) {
    request.session.cookie.maxAge = 30 * DAY;
  }

  @Post('logout')
  async logout(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    await request.logOut();
    void reply.redirect('/', 302);
  }

  @Get('profile')
  profile(@Req() request: FastifyRequest, @Session() session: Session) {
    const { user = null } = request as { user?: User };
    const seen = [session.get('passport'), this.current.get('passport')] as unknown[];
    return { user, in: request.isAuthenticated(), seen };
  }

  @Post('cart')
  @HttpCode(200)
  cart(@Req() request: ViewRequest, @Body() { item }: { item: string }) {
    (request.session.cart ??= []).push(item);
    return request.session.cart as unknown;
  }

  @Post('flash')
  flash(@Req() request: FastifyRequest) {
    return { count: request.flash('info', 'saved') };
  }

  @Get('flash')
  flashed(@Res({ passthrough: true }) reply: FastifyReply) {
    return { messages: reply.flash('info') as unknown };
  }
}

interface Profile {
  readonly user: User | null;
  readonly in: boolean;
  readonly seen: unknown[];
}

describe('[req.session] @fastify/passport', () => {
  const lab = useLab('fastify', {
    controllers: [AccountController],
    session: { requestSession: true, currentSession: true, deadline: '5s' },
    async prepare(app: INestApplication) {
      const fastify = app as NestFastifyApplication;
      await fastify.register(passport.initialize() as never);
      await fastify.register(passport.secureSession() as never);
    },
  });
  const ann = { username: 'ann', password: 'nna' };
  const profile = async (client: Client, node = 1) => (await lab.at(client, node).get<Profile>('/profile')).body;
  const data = async () => (await lab.row()).data;

  it('signs in: a new token, nothing of before, saved before the redirect', async () => {
    const client = lab.client();
    await client.post('/cart', { item: 'book' });
    const planted = lab.at(client, 1);
    const { id } = await lab.row();
    const reply = await client.post('/login', ann);
    expect([reply.status, reply.headers.get('location'), reply.setCookies.length]).toEqual([302, '/profile', 1]);
    expect(await data()).toEqual({ passport: 1 });
    expect((await lab.row()).id).toBe(id);
    expect(await profile(client)).toEqual({ user: { id: 1, name: 'ann' }, in: true, seen: [1, 1] });
    expect(await profile(planted)).toMatchObject({ user: null, in: false });
  });

  it('keeps what was there with keepSessionInfo, and another token all the same', async () => {
    const client = lab.client();
    await client.post('/cart', { item: 'book' });
    const { cookie } = client;
    await client.post('/login-and-keep', ann);
    expect(await data()).toEqual({ cart: ['book'], passport: 1 });
    expect(client.cookie).not.toBe(cookie);
  });

  it('signs out: a new token, nothing of before', async () => {
    const client = lab.client();
    await client.post('/login', ann);
    await client.post('/cart', { item: 'pen' });
    const stolen = lab.at(client, 1);
    const reply = await client.post('/logout');
    expect([reply.status, reply.headers.get('location')]).toEqual([302, '/']);
    expect(await data()).toEqual({});
    expect(await profile(client)).toMatchObject({ user: null, in: false });
    expect(await profile(stolen)).toMatchObject({ user: null, in: false });
  });

  it('refuses a wrong password, and begins no session for it', async () => {
    const client = lab.client();
    const reply = await client.post('/login', { username: 'ann', password: 'wrong' });
    expect([reply.status, reply.setCookies]).toEqual([401, []]);
    expect(await lab.rows()).toEqual([]);
  });

  it('remembers who asks for it', async () => {
    const client = lab.client();
    const reply = await client.post('/login-and-remember', ann);
    expect(reply.setCookies[0]).toContain(`Max-Age=${(30 * DAY) / 1000}`);
    expect((await lab.row()).expires_at.getTime() - Date.now()).toBeGreaterThan(29 * DAY);
  });

  it('flashes', async () => {
    const client = lab.client();
    expect((await client.post('/flash')).body).toEqual({ count: 1 });
    expect((await lab.at(client, 1).get('/flash')).body).toEqual({ messages: ['saved'] });
    expect((await client.get('/flash')).body).toEqual({ messages: [] });
  });

  it('costs a stranger nothing, and who is signed in one SELECT', async () => {
    lab.proxy.reset();
    const stranger = await lab.client().get('/profile');
    expect([lab.verbs, stranger.setCookies]).toEqual([[], []]);
    const client = lab.client();
    await client.post('/login', ann);
    lab.proxy.reset();
    await profile(client);
    expect(lab.verbs).toEqual(['SELECT']);
  });

  it('[line 1] shows 1 000 who signed in, and were sent to another node at once, signed in', async () => {
    let signedInThere = 0;
    for (let batch = 0; batch < 20; batch++) {
      await times(50, async (index) => {
        const client = lab.client(index % 2);
        expect((await client.post('/login', ann)).status).toBe(302);
        const there = await profile(client, index + 1);
        if (there.in && there.user) signedInThere += 1;
      });
    }
    expect(signedInThere).toBe(1_000);
  }, 60_000);

  it('[line 9] answers 503 while the database is away, and signs nobody out', async () => {
    const client = lab.client();
    await client.post('/login', ann);
    lab.proxy.mode = 'refuse';
    try {
      const reply = await client.get<{ code: string }>('/profile');
      expect([reply.status, reply.body.code, reply.setCookies]).toEqual([503, 'SESSION_UNAVAILABLE', []]);
      expect(reply.headers.get('retry-after')).not.toBeNull();
    } finally {
      lab.proxy.mode = 'pass';
    }
    expect(await profile(client)).toMatchObject({ in: true });
  });
});
