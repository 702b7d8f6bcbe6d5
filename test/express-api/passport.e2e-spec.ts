import {
  Body,
  Controller,
  Get,
  HttpCode,
  Injectable,
  Post,
  Req,
  Res,
  UnauthorizedException,
  UseGuards,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { AuthGuard, PassportModule, PassportSerializer, PassportStrategy } from '@nestjs/passport';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { Request, Response } from 'express';
import { CurrentSession, requestSession, Session } from 'nestjs-typeorm-session';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { startApp, type TestApp } from '../support/app.js';
import type { Client } from '../support/client.js';
import { times, useLab } from '../support/lab.js';
import { checkPassword, findUser, type User } from '../support/users.js';

const DAY = 86_400_000;

type WithSession = Request & { session: any };

@Injectable()
class LocalStrategy extends PassportStrategy(Strategy) {
  validate(name: string, password: string): User {
    const user = checkPassword(name, password);
    if (!user) throw new UnauthorizedException();
    return user;
  }
}

@Injectable()
class UserSerializer extends PassportSerializer {
  /** What a deserializer saw of the session, as a provider may want to. */
  static seen: unknown;

  constructor(private readonly session: CurrentSession) {
    super();
  }

  serializeUser(user: User, done: (error: unknown, id?: number) => void) {
    done(null, user.id);
  }

  deserializeUser(id: number, done: (error: unknown, user?: User | false) => void) {
    UserSerializer.seen = this.session.get('passport');
    done(null, findUser(id) ?? false);
  }
}

class SignInGuard extends AuthGuard('local') {
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const mayPass = (await super.canActivate(context)) as boolean;
    await super.logIn(context.switchToHttp().getRequest<Request>());
    return mayPass;
  }
}

class KeepingGuard extends AuthGuard('local') {
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const mayPass = (await super.canActivate(context)) as boolean;
    const request = context.switchToHttp().getRequest<Request>();
    await new Promise<void>((resolve, reject) => {
      const done = (error: Error | undefined) => (error ? reject(error) : resolve());
      request.logIn(request.user!, { keepSessionInfo: true, session: true }, done);
    });
    return mayPass;
  }
}

@Controller()
class AccountController {
  @Post('login')
  @UseGuards(SignInGuard)
  login(@Res() response: Response) {
    response.redirect('/profile');
  }

  @Post('login-and-keep')
  @UseGuards(KeepingGuard)
  loginAndKeep(@Res() response: Response) {
    response.redirect('/profile');
  }

  @Post('login-and-remember')
  @UseGuards(SignInGuard)
  loginAndRemember(@Req() request: WithSession) {
    request.session.cookie.maxAge = 30 * DAY;
  }

  /** As people write it without Nest's guards: the redirect goes out when passport calls back. */
  @Post('login-by-hand')
  loginByHand(@Req() request: Request, @Res() response: Response) {
    request.login(findUser(2)!, (error: unknown) => {
      response.redirect(error ? '/failed' : '/profile');
    });
  }

  @Post('logout')
  logout(@Req() request: Request, @Res() response: Response) {
    request.logout((error: unknown) => response.redirect(error ? '/failed' : '/'));
  }

  @Post('logout-and-keep')
  logoutAndKeep(@Req() request: Request, @Res() response: Response) {
    request.logout({ keepSessionInfo: true }, (error: unknown) => response.redirect(error ? '/failed' : '/'));
  }

  @Get('profile')
  profile(@Req() request: Request, @Session() session: Session) {
    return { user: request.user ?? null, in: request.isAuthenticated(), passport: session.get('passport') as unknown };
  }

  @Post('cart')
  @HttpCode(200)
  cart(@Req() request: WithSession, @Body() { item }: { item: string }) {
    (request.session.cart ??= []).push(item);
    return request.session.cart as unknown;
  }
}

interface Profile {
  readonly user: User | null;
  readonly in: boolean;
}

const application = {
  controllers: [AccountController],
  imports: [PassportModule.register({ session: true })],
  providers: [LocalStrategy, UserSerializer],
};
const usePassport = (app: INestApplication) => {
  app.use(passport.initialize());
  app.use(passport.session());
};

describe('[req.session] passport on express', () => {
  const lab = useLab('express', {
    ...application,
    session: { requestSession: true, currentSession: true, deadline: '5s' },
    prepare: usePassport,
  });
  const ann = { username: 'ann', password: 'nna' };
  const profile = async (client: Client, node = 1) => (await lab.at(client, node).get<Profile>('/profile')).body;
  const signedIn = async (path = '/login', cart = true): Promise<Client> => {
    const client = lab.client();
    if (cart) await client.post('/cart', { item: 'book' });
    expect((await client.post(path, ann)).status).toBeLessThan(400);
    return client;
  };
  /** The row of the test's only session. */
  const data = async () => (await lab.row()).data;

  it('signs in: a new token, nothing of before, saved before the redirect', async () => {
    const client = lab.client();
    await client.post('/cart', { item: 'book' });
    const planted = lab.at(client, 1);
    const { id } = await lab.row();
    const reply = await client.post('/login', ann);
    expect([reply.status, reply.headers.get('location'), reply.setCookies.length]).toEqual([302, '/profile', 1]);
    expect(await data()).toEqual({ passport: { user: 1 } });
    expect((await lab.row()).id).toBe(id);
    expect(await profile(client)).toMatchObject({ user: { name: 'ann' }, in: true });
    expect(await profile(planted)).toMatchObject({ user: null, in: false });
  });

  it('hands the session to Session, SessionService and CurrentSession alike', async () => {
    const client = await signedIn();
    UserSerializer.seen = undefined;
    expect(await profile(client)).toMatchObject({ passport: { user: 1 } });
    expect(UserSerializer.seen).toEqual({ user: 1 });
    expect(await lab.data(client)).toEqual({ passport: { user: 1 } });
  });

  it('keeps what was there with keepSessionInfo, and another token all the same', async () => {
    const client = lab.client();
    await client.post('/cart', { item: 'book' });
    const { cookie } = client;
    await client.post('/login-and-keep', ann);
    expect(await data()).toEqual({ cart: ['book'], passport: { user: 1 } });
    expect(client.cookie).not.toBe(cookie);
  });

  it('signs out: a new token, nothing of before', async () => {
    const client = await signedIn();
    await client.post('/cart', { item: 'pen' });
    const stolen = lab.at(client, 1);
    const reply = await client.post('/logout');
    expect([reply.status, reply.headers.get('location')]).toEqual([302, '/']);
    expect(await data()).toEqual({});
    expect(await profile(client)).toMatchObject({ user: null, in: false });
    expect(await profile(stolen)).toMatchObject({ user: null, in: false });
  });

  it('signs out and keeps what is not the user with keepSessionInfo', async () => {
    const client = await signedIn();
    await client.post('/cart', { item: 'pen' });
    const { cookie } = client;
    await client.post('/logout-and-keep');
    expect(await data()).toEqual({ cart: ['pen'], passport: {} });
    expect(client.cookie).not.toBe(cookie);
    expect(await profile(client)).toMatchObject({ user: null, in: false });
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
    expect(reply.setCookies).toHaveLength(1);
    expect(reply.setCookies[0]).toContain(`Max-Age=${(30 * DAY) / 1000}`);
    const row = await lab.row();
    expect(row.expires_at.getTime() - Date.now()).toBeGreaterThan(29 * DAY);
    expect(await profile(client)).toMatchObject({ in: true });
  });

  it('costs a stranger nothing, and who is signed in one SELECT', async () => {
    lab.proxy.reset();
    const stranger = await lab.client().get('/profile');
    expect([lab.verbs, stranger.setCookies]).toEqual([[], []]);
    const client = await signedIn('/login', false);
    lab.proxy.reset();
    await profile(client);
    expect(lab.verbs).toEqual(['SELECT']);
  });

  it('[line 1] shows 1 000 who signed in, and were sent to another node at once, signed in', async () => {
    let signedInThere = 0;
    for (let batch = 0; batch < 20; batch++) {
      await times(50, async (index) => {
        const client = lab.client(index % 2);
        const path = index % 4 < 2 ? '/login' : '/login-by-hand';
        const reply = await client.post(path, ann);
        expect(reply.headers.get('location')).toBe('/profile');
        const there = await profile(client, index + 1);
        if (there.in && there.user) signedInThere += 1;
      });
    }
    expect(signedInThere).toBe(1_000);
  }, 60_000);

  it('[line 9] answers 503 while the database is away, and signs nobody out', async () => {
    const client = await signedIn();
    const { cookie } = client;
    lab.proxy.mode = 'refuse';
    try {
      const reply = await client.get<{ code: string }>('/profile');
      expect([reply.status, reply.body.code, reply.setCookies]).toEqual([503, 'SESSION_UNAVAILABLE', []]);
      expect(reply.headers.get('retry-after')).not.toBeNull();
      expect((await client.post<{ code: string }>('/logout')).body.code).toBe('SESSION_UNAVAILABLE');
    } finally {
      lab.proxy.mode = 'pass';
    }
    expect(client.cookie).toBe(cookie);
    expect(await profile(client)).toMatchObject({ in: true });
  });
});

describe('[req.session] passport.session() in front of the session', () => {
  let app: TestApp | undefined;
  const lab = useLab('express');
  afterAll(() => app?.close());

  it('is answered 500 with the line to move', async () => {
    app = await startApp({
      platform: 'express',
      databaseUrl: lab.database.url,
      ...application,
      session: { currentSession: true },
      prepare(nest) {
        usePassport(nest);
        nest.use(requestSession(nest));
      },
    });
    const reply = await app.client().get<{ code: string; message: string }>('/profile');
    expect([reply.status, reply.body.code]).toEqual([500, 'SESSION_NOT_OPEN']);
    expect(reply.body.message).toContain('app.use(requestSession(app))');
  });
});
