import { Controller, Get, HttpCode, Post, Req, Res, UseFilters, UseGuards, Catch, HttpException } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter, INestApplication } from '@nestjs/common';
import { AuthGuard, PassportModule, PassportSerializer, PassportStrategy } from '@nestjs/passport';
import { describe, expect, it } from '@jest/globals';
import compression from 'compression';
import flash from 'connect-flash';
import cookieParser from 'cookie-parser';
import { doubleCsrf } from 'csrf-csrf';
import { csrfSync } from 'csrf-sync';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type {} from 'express-session';
import helmet from 'helmet';
import passport from 'passport';
import { Strategy } from 'passport-local';
import type { Client } from '../support/client.js';
import { useLab } from '../support/lab.js';
import { checkPassword, findUser, type User } from '../support/users.js';

declare module 'express-session' {
  interface SessionData {
    visits: number;
  }
}

interface Csrf {
  readonly protect: RequestHandler;
  tokenFor(request: Request, response: Response): string;
}

const SYNC = csrfSync();
const DOUBLE = doubleCsrf({
  getSecret: () => 'the secret of the test',
  getSessionIdentifier: ({ session }) => session.id,
  cookieName: 'csrf',
  cookieOptions: { secure: false },
});
const CSRF: Record<string, Csrf> = {
  'csrf-sync': { protect: SYNC.csrfSynchronisedProtection, tokenFor: (request) => SYNC.generateToken(request) },
  'csrf-csrf': { protect: DOUBLE.doubleCsrfProtection, tokenFor: (...both) => DOUBLE.generateCsrfToken(...both) },
};
/** Of the application in hand. */
let csrf: Csrf;

class LocalStrategy extends PassportStrategy(Strategy, 'middleware-local') {
  validate(name: string, password: string): User | false {
    return checkPassword(name, password) ?? false;
  }
}

class UserSerializer extends PassportSerializer {
  serializeUser(user: User, done: (error: unknown, id?: number) => void) {
    done(null, user.id);
  }
  deserializeUser(id: number, done: (error: unknown, user?: User | false) => void) {
    done(null, findUser(id) ?? false);
  }
}

class SignInGuard extends AuthGuard('middleware-local') {
  override async canActivate(context: Parameters<InstanceType<ReturnType<typeof AuthGuard>>['canActivate']>[0]) {
    const mayPass = (await super.canActivate(context)) as boolean;
    await super.logIn(context.switchToHttp().getRequest<Request>());
    return mayPass;
  }
}

/** As applications do it: says so with the next page. */
@Catch(HttpException)
class BackToLogin implements ExceptionFilter {
  catch(_error: HttpException, host: ArgumentsHost) {
    const http = host.switchToHttp();
    http.getRequest<Request>().flash('error', 'wrong password');
    http.getResponse<Response>().redirect('/login');
  }
}

@Controller()
class PagesController {
  @Get('login')
  page(@Req() request: Request, @Res({ passthrough: true }) response: Response) {
    request.session.visits = (request.session.visits ?? 0) + 1;
    return { token: csrf.tokenFor(request, response), errors: request.flash('error'), filler: 'x'.repeat(2_000) };
  }

  @Post('login')
  @UseGuards(SignInGuard)
  @UseFilters(BackToLogin)
  login(@Req() request: Request, @Res() response: Response) {
    request.flash('info', 'welcome, %s', (request.user as unknown as User).name);
    response.redirect('/account');
  }

  @Get('account')
  account(@Req() request: Request, @Res({ passthrough: true }) response: Response) {
    request.session.visits = (request.session.visits ?? 0) + 1;
    const { user = null, session, cookies } = request;
    return {
      token: csrf.tokenFor(request, response),
      user,
      messages: request.flash('info'),
      visits: session.visits,
      hasCookie: 'sid' in (cookies as object),
    };
  }

  @Post('logout')
  @HttpCode(204)
  logout(@Req() request: Request, @Res() response: Response, next: NextFunction) {
    request.logout((error: unknown) => {
      if (error) return next(error);
      request.flash('info', 'good-bye');
      response.redirect('/account');
    });
  }
}

interface Page {
  readonly token: string;
  readonly user: User | null;
  readonly errors: string[];
  readonly messages: string[];
  readonly visits: number;
  readonly hasCookie: boolean;
}

describe.each(Object.keys(CSRF))('helmet, compression, cookie-parser, passport, connect-flash and %s', (name) => {
  const lab = useLab('express', {
    controllers: [PagesController],
    imports: [PassportModule.register({ session: true })],
    providers: [LocalStrategy, UserSerializer],
    session: { requestSession: true },
    prepare(app: INestApplication) {
      csrf = CSRF[name]!;
      app.use(helmet());
      app.use(compression({ threshold: 0 }));
      app.use(cookieParser());
      app.use(passport.initialize());
      app.use(passport.session());
      app.use(flash());
      // The lab's own requests carry no token.
      const { protect } = csrf;
      app.use((request: Request, response: Response, next: NextFunction) =>
        request.path.startsWith('/do/') ? next() : protect(request, response, next),
      );
    },
  });

  const page = async (client: Client, path: string) => {
    const reply = await client.get<Page>(path);
    expect(reply.status).toBe(200);
    return reply.body;
  };
  const post = (client: Client, path: string, token: string, body?: object) =>
    client.post(path, body, { headers: { 'x-csrf-token': token } });

  it('work from sign-in to sign-out, on two nodes in turns', async () => {
    // One visitor, whose requests go to one node and the other.
    const [first, second] = [lab.client(0), lab.client(1)];
    const at = (client: Client, other: Client): Client => {
      client.cookie = other.cookie;
      return client;
    };
    const { token, errors } = await page(first, '/login');
    expect(errors).toEqual([]);
    const forged = await post(at(second, first), '/login', 'forged', { username: 'ann', password: 'nna' });
    expect(forged.status).toBe(403);
    const wrong = await post(second, '/login', token, { username: 'ann', password: 'wrong' });
    expect([wrong.status, wrong.headers.get('location')]).toEqual([302, '/login']);
    const again = await page(at(first, second), '/login');
    expect(again.errors).toEqual(['wrong password']);
    expect((await page(first, '/login')).errors).toEqual([]);

    const anonymous = first.cookie;
    const signedIn = await post(at(second, first), '/login', again.token, { username: 'ann', password: 'nna' });
    expect([signedIn.status, signedIn.headers.get('location')]).toEqual([302, '/account']);
    expect(second.cookie).not.toBe(anonymous);
    const account = await page(at(first, second), '/account');
    expect(account).toMatchObject({
      user: { name: 'ann' },
      messages: ['welcome, ann'],
      visits: 1,
      hasCookie: true,
    });
    expect((await page(first, '/account')).messages).toEqual([]);

    const token2 = (await page(first, '/account')).token;
    expect((await post(at(second, first), '/logout', 'forged')).status).toBe(403);
    const signedOut = await post(second, '/logout', token2);
    expect([signedOut.status, signedOut.headers.get('location')]).toEqual([302, '/account']);
    expect(await page(at(first, second), '/account')).toMatchObject({ user: null, messages: ['good-bye'], visits: 1 });
    expect(await lab.rows()).toHaveLength(1);
  });

  it('get their headers and our cookie on one response, compressed', async () => {
    const reply = await lab.client().get('/login', { headers: { 'accept-encoding': 'gzip' } });
    expect(reply.headers.get('content-encoding')).toBe('gzip');
    expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
    expect(reply.headers.get('vary')).toMatch(/Accept-Encoding/);
    expect(reply.headers.get('vary')).toMatch(/Cookie/);
    expect(reply.setCookies.filter((line) => line.startsWith('sid='))).toHaveLength(1);
    expect(JSON.parse(reply.text)).toMatchObject({ errors: [] });
  });
});
