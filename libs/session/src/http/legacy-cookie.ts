import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { ResolvedMigrateFrom } from '../core/legacy/legacy-sessions.js';
import type { ResolvedCookieOptions } from '../core/options.js';
import { readCookieValues, serializeExpiredCookie } from './cookie.js';
import { replaceSetCookie, setNoStore, type HeaderTarget } from './response-headers.js';

/** What express-session puts in front of a signed id. @fastify/session leaves it out. */
const SIGNED = 's:';

/** Characters; ids have 32. */
const LONGEST_ID = 255;

/**
 * The cookie of express-session or @fastify/session: `s:` (or nothing), the id, a dot, and the HMAC-SHA-256 of the id as base64
 * without padding.
 */
export class LegacyCookie {
  readonly #cookies: readonly ResolvedCookieOptions[];
  readonly #keys: readonly KeyObject[];

  /** @param secure whether ours is: a browser lets none but a secure response touch a secure cookie. */
  constructor({ cookie, secrets }: ResolvedMigrateFrom, secure: boolean) {
    const { names, domain, path } = cookie;
    this.#cookies = names.map((name) => ({ name, domain, path, secure, sameSite: 'lax', partitioned: false }));
    this.#keys = secrets.map((secret) => createSecretKey(secret, 'utf8'));
  }

  /** The id in the first cookie that one of the secrets has signed. */
  read(header: string | undefined): string | undefined {
    for (const value of this.#cookies.flatMap(({ name }) => readCookieValues(header, name))) {
      const id = this.#verify(decode(value));
      if (id !== undefined) return id;
    }
    return undefined;
  }

  /** Tells the browser to forget it, by each name that it may have. */
  expire(target: HeaderTarget): void {
    for (const cookie of this.#cookies) replaceSetCookie(target, cookie.name, serializeExpiredCookie(cookie));
    setNoStore(target);
  }

  #verify(value: string): string | undefined {
    const signed = value.startsWith(SIGNED) ? value.slice(SIGNED.length) : value;
    const dot = signed.lastIndexOf('.');
    const id = signed.slice(0, Math.max(dot, 0));
    if (id === '' || id.length > LONGEST_ID) return undefined;
    const given = Buffer.from(signed.slice(dot + 1));
    return this.#keys.some((key) => isSame(given, signatureOf(id, key))) ? id : undefined;
  }
}

function signatureOf(id: string, key: KeyObject): Buffer {
  const signature = createHmac('sha256', key).update(id).digest('base64');
  // 32 bytes make 43 characters and one `=`.
  return Buffer.from(signature.slice(0, -1));
}

function isSame(given: Buffer, expected: Buffer): boolean {
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** As the package `cookie` does, which both of them use. */
function decode(value: string): string {
  const bare = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
  if (!bare.includes('%')) return bare;
  try {
    return decodeURIComponent(bare);
  } catch {
    return bare;
  }
}
