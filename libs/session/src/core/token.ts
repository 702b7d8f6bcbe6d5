import { hash, randomBytes } from 'node:crypto';

/** Characters of a token. */
export const TOKEN_LENGTH = 43;

/** How long a replaced token is recognised, to refuse what was under way with it. Part of the contract, and no option. */
export const PREVIOUS_TOKEN_MILLISECONDS = 30_000;

const TOKEN_BYTES = 32;
const TOKEN_SHAPE = /^[A-Za-z0-9_-]{43}$/;

/**
 * A new session token: 32 bytes of the system's randomness as 43 characters of base64url, and nothing else in it
 * (OWASP ASVS 7.2.3, 11.5.1).
 *
 * @throws whatever `randomBytes` throws: there is no second source of randomness (OWASP ASVS 11.5.2).
 */
export function createToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Whether a text has the shape of a token. Says nothing about whether a session exists. */
export function isToken(value: string): boolean {
  return TOKEN_SHAPE.test(value);
}

/** SHA-256 of a token, 32 bytes: what the database knows of it. */
export function hashToken(token: string): Buffer {
  // The text is hashed, not the bytes that it encodes: four different last characters decode to the same 32 bytes.
  // By way of hex, which is the cheapest that Node has.
  return Buffer.from(hash('sha256', token), 'hex');
}
