/** Rows are told by these objects; of others there is nothing to tell. */
export type Hashes = Pick<AskedHashes, 'of'>;

/** For a statement that asks for all that there is. */
export const ANY_HASH: Hashes = { of: (hex) => Buffer.from(hex, 'hex') };

/** The hashes that a statement asks for, each once. The rows it finds are told by the same objects. */
export class AskedHashes {
  /** In lower case, as databases spell them. */
  readonly #byHex = new Map<string, Buffer>();

  constructor(tokenHashes: readonly Buffer[] = []) {
    for (const hash of tokenHashes) this.add(hash);
  }

  /** Returns the object that stands for these bytes. */
  add(hash: Buffer): Buffer {
    const hex = hash.toString('hex');
    const known = this.#byHex.get(hex);
    if (known) return known;
    this.#byHex.set(hex, hash);
    return hash;
  }

  get all(): Buffer[] {
    return [...this.#byHex.values()];
  }

  get hexes(): string[] {
    return [...this.#byHex.keys()];
  }

  of(hex: string): Buffer | undefined {
    return this.#byHex.get(hex);
  }
}
