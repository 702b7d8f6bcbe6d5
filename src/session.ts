import type { SessionOptions } from 'nestjs-typeorm-session';
import { Shop } from './shop/shop.js';

export function sessionOptions(env: NodeJS.ProcessEnv = process.env): SessionOptions {
  const secret = env.SESSION_SECRET;
  if (!secret && env.NODE_ENV === 'production') {
    throw new Error(
      'SESSION_SECRET is not set, and NODE_ENV is production. For example: SESSION_SECRET=$(openssl rand -hex 32)',
    );
  }
  return {
    schema: Shop,
    idleTimeout: '12h',
    absoluteTimeout: '14d',
    // Without a secret the cookie is not signed: as hard to guess, but a forged one costs a query.
    ...(secret ? { secrets: [secret] } : {}),
  };
}
