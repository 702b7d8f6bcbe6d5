import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

const PURPOSE = 'nestjs-typeorm-session.move.v1';
const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What a session that moves gets from the id that it had, by secrets that only our nodes know. */
export class MovedTokens {
  readonly #secrets: readonly string[];
  readonly #keys: readonly Buffer[];

  /** @param secrets the first derives and seals, all recognise. */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
    this.#keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', `${PURPOSE} seal`, 32)));
  }

  /**
   * Tokens of one old id, the one to be given first. The same on every node, so that requests of one visitor that come at
   * once meet in one row; and nobody can tell it who has seen the old id alone.
   */
  of(id: string): readonly string[] {
    return this.#secrets.map((secret) =>
      createHmac('sha256', secret).update(`${PURPOSE} token|${id}`).digest('base64url'),
    );
  }

  /** The old id, for the row: who reads the table learns nothing from it. */
  seal(id: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#keys[0]!, nonce);
    const sealed = [cipher.update(id, 'utf8'), cipher.final()];
    return Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]).toString('base64url');
  }

  /** The old id again; `undefined` where none of the secrets has sealed it. */
  unseal(text: string): string | undefined {
    const bytes = Buffer.from(text, 'base64url');
    for (const key of this.#keys) {
      try {
        const nonce = bytes.subarray(0, NONCE_BYTES);
        const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
        decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
        return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch {
        // Sealed with another secret, or by nobody.
      }
    }
    return undefined;
  }
}
