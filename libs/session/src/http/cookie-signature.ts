import { timingSafeEqual } from 'node:crypto';
import { isToken, TOKEN_LENGTH } from '../core/token.js';
import { Hmac } from './hmac.js';

/** Ties a signature to this use of the secret: one made for anything else is worth nothing here (OWASP ASVS 1.5.3). */
const PURPOSE = 'nestjs-typeorm-session.v1';

/**
 * Makes the cookie's value from a token and back: `token.signature`, an HMAC-SHA-256 as base64url; without secrets the
 * token alone. The first secret signs and all verify, so that secrets can be rotated.
 */
export class CookieSigner {
  readonly #keys: readonly Hmac[];
  /** The signature of a cookie, which has the length of a token, and the right one. */
  readonly #given = Buffer.alloc(TOKEN_LENGTH);
  readonly #expected = Buffer.alloc(TOKEN_LENGTH);

  /** @param name of the cookie: a value signed for another cookie is refused. */
  constructor(name: string, secrets: readonly string[]) {
    this.#keys = secrets.map((secret) => new Hmac(secret, `${PURPOSE}|${name}|`));
  }

  sign(token: string): string {
    const [key] = this.#keys;
    return key ? `${token}.${key.digest(token)}` : token;
  }

  /** The token of a cookie's value, or `undefined` where the value is malformed or not signed by one of the secrets. */
  verify(value: string): string | undefined {
    // With secrets there is no way around the signature, a bare token included (CVE-2026-39324 was such a fallback).
    if (this.#keys.length > 0) return this.#verifySigned(value);
    return isToken(value) ? value : undefined;
  }

  #verifySigned(value: string): string | undefined {
    const token = value.slice(0, TOKEN_LENGTH);
    const signature = value.slice(TOKEN_LENGTH + 1);
    // A signature encodes 32 bytes too, so it has the shape of a token.
    if (value[TOKEN_LENGTH] !== '.' || !isToken(token) || !isToken(signature)) return undefined;

    // Texts are compared, not bytes: four last characters decode to the same bytes.
    this.#given.write(signature);
    return this.#keys.some((key) => this.#isGiven(key.digest(token))) ? token : undefined;
  }

  #isGiven(signature: string): boolean {
    this.#expected.write(signature);
    return timingSafeEqual(this.#given, this.#expected);
  }
}
