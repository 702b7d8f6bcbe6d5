import { hash } from 'node:crypto';

/** Bytes of a block of SHA-256, and of what it gives. */
const BLOCK = 64;
const DIGEST = 32;

/**
 * HMAC-SHA-256 with one key (RFC 2104, FIPS 198-1). By way of `crypto.hash` and of memory that is there already: `createHmac` makes
 * an object outside of V8's heap for every cookie, and takes twice as long by itself, more under load.
 */
export class Hmac {
  /** Where the text begins, behind the key and the prefix. */
  readonly #begin: number;
  /** Of the text that was digested last, most of which have the same length. */
  #inner: Buffer;
  /** Followed by the inner digest. */
  readonly #outer = Buffer.alloc(BLOCK + DIGEST);

  /** @param prefix of each text that will be digested. */
  constructor(secret: string, prefix = '') {
    const bytes = Buffer.from(secret);
    const key = Buffer.alloc(BLOCK);
    if (bytes.length > BLOCK) key.write(hash('sha256', bytes), 'hex');
    else bytes.copy(key);
    this.#inner = Buffer.concat([key.map((byte) => byte ^ 0x36), Buffer.from(prefix)]);
    this.#begin = this.#inner.length;
    this.#outer.set(key.map((byte) => byte ^ 0x5c));
  }

  /** Of the prefix and a text, as UTF-8; 43 characters of base64url. */
  digest(text: string): string {
    const end = this.#begin + Buffer.byteLength(text);
    if (this.#inner.length !== end) this.#inner = Buffer.concat([this.#inner.subarray(0, this.#begin)], end);
    this.#inner.write(text, this.#begin);
    this.#outer.write(hash('sha256', this.#inner, 'binary'), BLOCK, 'binary');
    return hash('sha256', this.#outer, 'base64url');
  }
}
