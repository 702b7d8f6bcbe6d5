import type { IncomingMessage } from 'node:http';
import type { ResolvedSessionOptions } from '../core/options.js';
import type { CookieInstruction } from '../core/session-context.js';
import { CookieSigner } from './cookie-signature.js';
import { LegacyCookie } from './legacy-cookie.js';
import { readCookieValues, serializeCookie, serializeExpiredCookie } from './cookie.js';
import { replaceSetCookie, setNoStore, type HeaderTarget } from './response-headers.js';

/**
 * Candidates that are looked up at most: so many that cookies planted by a sibling domain do not push the right one out, so few that a
 * header full of them stays one small query.
 */
const MAX_TOKENS = 32;

type TransportOptions = Pick<ResolvedSessionOptions, 'cookie' | 'secrets'> &
  Partial<Pick<ResolvedSessionOptions, 'migrateFrom'>>;

/** Carries the token in a cookie (RFC 6265bis), and nowhere else: never in a URL, a body or another header. */
export class CookieTransport {
  readonly #options: ResolvedSessionOptions['cookie'];
  readonly #signer: CookieSigner;
  readonly #legacy: LegacyCookie | undefined;

  constructor({ cookie, secrets, migrateFrom }: TransportOptions) {
    this.#options = cookie;
    this.#signer = new CookieSigner(cookie.name, secrets);
    this.#legacy = migrateFrom && new LegacyCookie(migrateFrom, cookie.secure);
  }

  /** The well-formed tokens with a good signature, each once, and whether there was any cookie of our name. */
  read(request: IncomingMessage): { tokens: string[]; cookieSent: boolean } {
    const values = readCookieValues(request.headers.cookie, this.#options.name);
    const tokens: string[] = [];
    for (const value of values) {
      const token = this.#signer.verify(value);
      if (token !== undefined) tokens.push(token);
    }
    const distinct = tokens.length < 2 ? tokens : [...new Set(tokens)].slice(0, MAX_TOKENS);
    return { tokens: distinct, cookieSent: values.length > 0 };
  }

  /** The id in the cookie of `migrateFrom`, where its signature is good. */
  readLegacy(request: IncomingMessage): string | undefined {
    return this.#legacy?.read(request.headers.cookie);
  }

  /** Removes the cookie of `migrateFrom`. */
  expireLegacy(target: HeaderTarget): void {
    this.#legacy?.expire(target);
  }

  /** Leaves one Set-Cookie of ours at most, which no cache may keep (OWASP ASVS 14.3.2, CVE-2023-30861). */
  write(target: HeaderTarget, instruction: CookieInstruction): void {
    if (instruction.kind === 'keep') return;
    replaceSetCookie(target, this.#options.name, this.#line(instruction));
    setNoStore(target);
  }

  #line(instruction: Exclude<CookieInstruction, { kind: 'keep' }>): string {
    if (instruction.kind === 'expire') return serializeExpiredCookie(this.#options);
    return serializeCookie(this.#options, this.#signer.sign(instruction.token), instruction.maxAge);
  }
}
