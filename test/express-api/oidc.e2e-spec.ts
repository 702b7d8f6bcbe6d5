import {
  Controller,
  Get,
  Injectable,
  Redirect,
  Req,
  Res,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
  UseGuards,
} from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Request, Response } from 'express';
import { Session } from 'nestjs-typeorm-session';
import * as oidc from 'openid-client';
import { Strategy } from 'openid-client/passport';
import passport from 'passport';
import { PLATFORMS } from '../support/app.js';
import type { Client } from '../support/client.js';
import { times, useLab, type Lab } from '../support/lab.js';
import { locationOf, startOidcProvider, type OidcProvider } from '../support/oidc.js';
import type { View } from '../support/view-lab.js';

interface Pending {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
}

/** What the test in hand runs against. */
let provider: OidcProvider;
let callbackUrl: string;

@Controller('oidc')
class OidcController {
  @Get('login')
  @Redirect()
  async login(@Req() request: { session: View }) {
    const verifier = oidc.randomPKCECodeVerifier();
    const pending: Pending = { verifier, state: oidc.randomState(), nonce: oidc.randomNonce() };
    request.session.oidc = pending;
    const url = oidc.buildAuthorizationUrl(provider.config, {
      redirect_uri: callbackUrl,
      scope: 'openid',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: pending.state,
      nonce: pending.nonce,
    });
    return { url: url.href, statusCode: 302 };
  }

  @Get('callback')
  async callback(@Req() request: { url: string; session: View }, @Session() session: Session<{ oidc: Pending }>) {
    // Taken and not read: of many requests with the same state one has it.
    const pending = await session.take('oidc');
    if (!pending) throw new UnauthorizedException();
    const checks = {
      pkceCodeVerifier: pending.verifier,
      expectedState: pending.state,
      expectedNonce: pending.nonce,
    };
    const url = new URL(request.url, callbackUrl);
    const tokens = await oidc.authorizationCodeGrant(provider.config, url, checks).catch(() => {
      throw new UnauthorizedException();
    });
    await request.session.regenerate();
    request.session.user = tokens.claims()!.sub;
    return { user: request.session.user as string };
  }

  @Get('user')
  user(@Req() request: { session: View }) {
    return { user: (request.session.user as string | undefined) ?? null };
  }
}

/** Begins at one node, and comes back to the other. */
async function sendToProvider(lab: Lab, client: Client, path: string): Promise<string> {
  const reply = await client.get(path);
  expect(reply.status).toBe(302);
  return provider.signIn(locationOf(reply, lab.nodes[0].url));
}

function useProvider(lab: Lab, path: string): void {
  beforeAll(async () => {
    callbackUrl = `${lab.nodes[1].url}${path}`;
    provider = await startOidcProvider([callbackUrl]);
  });
  afterAll(() => provider?.close());
}

describe.each(PLATFORMS)('OpenID Connect with openid-client on %s', (platform) => {
  const lab = useLab(platform, { controllers: [OidcController], session: { requestSession: true } });
  useProvider(lab, '/oidc/callback');

  it('keeps state and nonce in the session, and comes back to another node', async () => {
    const client = lab.client();
    const back = await sendToProvider(lab, client, '/oidc/login');
    const { cookie } = client;
    const there = lab.at(client, 1);
    expect((await there.get(back)).body).toEqual({ user: 'ann' });
    expect(there.cookie).not.toBe(cookie);
    expect((await lab.at(there, 0).get('/oidc/user')).body).toEqual({ user: 'ann' });
    expect((await lab.row()).data).toEqual({ user: 'ann' });
  });

  it('lets a state be used once, by one of many', async () => {
    const client = lab.client();
    const back = await sendToProvider(lab, client, '/oidc/login');
    const replies = await times(5, () => lab.at(client, 1).get(back));
    const statuses = replies.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    // Taken by another, or too late: that one has a new token already.
    expect(statuses.filter((status) => status === 401 || status === 409)).toHaveLength(4);
  });

  it('refuses a state of another visitor, and one with no session', async () => {
    const [client, other] = [lab.client(), lab.client()];
    const back = await sendToProvider(lab, client, '/oidc/login');
    await sendToProvider(lab, other, '/oidc/login');
    expect((await lab.at(other, 1).get(back)).status).toBe(401);
    expect((await lab.client(1).get(back)).status).toBe(401);
    expect((await lab.at(other, 1).get('/oidc/user')).body).toEqual({ user: null });
  });
});

@Injectable()
class OidcGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const handler = passport.authenticate('oidc') as (...args: unknown[]) => void;
    await new Promise<void>((resolve, reject) => {
      handler(http.getRequest(), http.getResponse(), (error?: Error) => (error ? reject(error) : resolve()));
    });
    return true;
  }
}

@Controller('passport')
class PassportController {
  @Get('login')
  @UseGuards(OidcGuard)
  login() {}

  @Get('callback')
  @UseGuards(OidcGuard)
  callback(@Res() response: Response) {
    response.redirect('/passport/user');
  }

  @Get('user')
  user(@Req() request: Request) {
    return { user: request.user ?? null };
  }
}

describe('OpenID Connect with passport on express', () => {
  const lab = useLab('express', {
    controllers: [PassportController],
    session: { requestSession: true },
    prepare: (app) => app.use(passport.session()),
  });
  useProvider(lab, '/passport/callback');

  beforeAll(() => {
    const verify = (
      tokens: { claims(): { sub: string } | undefined },
      done: (error: unknown, user?: { sub: string }) => void,
    ) => done(null, { sub: tokens.claims()!.sub });
    const { config } = provider;
    const strategy = new Strategy({ config, callbackURL: callbackUrl, scope: 'openid', name: 'oidc' }, verify as never);
    passport.use('oidc', strategy);
    passport.serializeUser((user, done) => done(null, user));
    passport.deserializeUser((user: Express.User, done) => done(null, user));
  });

  it('signs in at another node, and is sent on signed in', async () => {
    const client = lab.client();
    const back = await sendToProvider(lab, client, '/passport/login');
    const { cookie } = client;
    const there = lab.at(client, 1);
    const reply = await there.get(back);
    expect([reply.status, reply.headers.get('location')]).toEqual([302, '/passport/user']);
    expect(there.cookie).not.toBe(cookie);
    expect((await lab.at(there, 0).get('/passport/user')).body).toEqual({ user: { sub: 'ann' } });
    expect((await lab.row()).data).toEqual({ passport: { user: { sub: 'ann' } } });
  });
});
