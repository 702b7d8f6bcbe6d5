import { parseData, serialize } from './json-profile.js';
import type { Delta } from './store.js';

/** What a value may be at most. */
export interface ValueLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  readonly maxKeys: number;
}

/** The changes do not fit the limits of a session. Names what was exceeded, never a value. */
export class SessionLimitError extends Error {}

/** Says whether a stored key may be seen; it reports the ones that may not. */
export type KeyFilter = (key: string, value: unknown) => boolean;

/**
 * The values of one session as one request sees them, and what it changed.
 *
 * Changes are found by *snapshot on read*: when an object is handed out its JSON is remembered, and only keys that were
 * read or written are compared, so untouched keys cost nothing and a change inside a returned object is noticed.
 */
export class SessionValues {
  /** The row's JSON until somebody looks into it. */
  #text: string | undefined;
  #values = new Map<string, unknown>();
  /** JSON as the row has it, of the keys that were handed out or written; `undefined`: the row has no such key. */
  #stored = new Map<string, string | undefined>();
  /** Keys of the row that the filter keeps from the view. */
  #hidden = new Map<string, unknown>();
  /** Upper bound of the row's JSON in bytes. */
  #bytes: number;
  readonly #limits: ValueLimits;
  readonly #isVisible: KeyFilter | undefined;

  constructor(text: string | undefined, limits: ValueLimits, isVisible?: KeyFilter) {
    this.#text = text;
    this.#bytes = text === undefined ? 2 : Buffer.byteLength(text);
    this.#limits = limits;
    this.#isVisible = isVisible;
  }

  get(key: string): unknown {
    const value = this.#parsed().get(key);
    if (typeof value === 'object' && value !== null) this.#remember(key);
    return value;
  }

  has(key: string): boolean {
    return this.#parsed().has(key);
  }

  keys(): string[] {
    return [...this.#parsed().keys()];
  }

  /** Keeps the reference: it is serialised when the delta is taken. */
  set(key: string, value: unknown): void {
    this.#remember(key);
    this.#values.set(key, value);
  }

  delete(key: string): void {
    this.#remember(key);
    this.#values.delete(key);
  }

  clear(): void {
    for (const key of [...this.keys(), ...this.#hidden.keys()]) this.delete(key);
  }

  /** Forgets all keys but these without counting it as a change: the row has lost them already. */
  retain(keys: readonly string[]): void {
    const isKept = new Set(keys);
    for (const map of [this.#parsed(), this.#stored, this.#hidden]) {
      for (const key of map.keys()) if (!isKept.has(key)) map.delete(key);
    }
  }

  /**
   * What differs from the row, of all keys or of the named ones.
   *
   * @throws JsonProfileError for a value that is not plain JSON, {@link SessionLimitError} for too much of it.
   */
  delta(only?: readonly string[]): Delta | undefined {
    if (this.#stored.size === 0) return undefined;
    const set: Record<string, string> = Object.create(null);
    const unset: string[] = [];
    let added = 0;
    for (const key of only ?? this.#stored.keys()) {
      if (!this.#stored.has(key)) continue;
      const stored = this.#stored.get(key);
      const current = this.#values.has(key) ? serialize(this.#values.get(key), `$.${key}`, this.#limits) : undefined;
      if (current === stored) continue;
      if (current === undefined) {
        unset.push(key);
        continue;
      }
      set[key] = current;
      added += Buffer.byteLength(current) + Buffer.byteLength(key) + 8;
    }
    if (added === 0) return unset.length === 0 ? undefined : { set, unset };
    this.#checkLimits(added);
    return { set, unset };
  }

  /** The row has this delta now. */
  accept(delta: Delta): void {
    for (const [key, json] of Object.entries(delta.set)) {
      this.#stored.set(key, json);
      this.#bytes += Buffer.byteLength(json) + Buffer.byteLength(key) + 8;
    }
    for (const key of delta.unset) this.#stored.set(key, undefined);
  }

  /** The row has this value now. The view follows, unless the request has changed the key again meanwhile. */
  absorb(key: string, json: string | undefined): void {
    this.#remember(key);
    const current = this.#values.has(key) ? JSON.stringify(this.#values.get(key)) : undefined;
    const isUnchanged = current === this.#stored.get(key);
    this.#stored.set(key, json);
    if (!isUnchanged) return;
    const value = json === undefined ? undefined : parseData(`{${JSON.stringify(key)}:${json}}`)?.get(key);
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
  }

  #parsed(): Map<string, unknown> {
    if (this.#text === undefined) return this.#values;
    this.#values = parseData(this.#text) ?? this.#values;
    this.#text = undefined;
    if (this.#isVisible) {
      for (const [key, value] of this.#values) {
        if (this.#isVisible(key, value)) continue;
        this.#values.delete(key);
        this.#hidden.set(key, value);
      }
    }
    return this.#values;
  }

  #remember(key: string): void {
    const values = this.#parsed();
    if (this.#stored.has(key)) return;
    const holder = this.#hidden.has(key) ? this.#hidden : values;
    this.#stored.set(key, holder.has(key) ? JSON.stringify(holder.get(key)) : undefined);
    this.#hidden.delete(key);
  }

  #checkLimits(added: number): void {
    const { maxKeys, maxBytes } = this.#limits;
    const keys = this.#values.size + this.#hidden.size;
    if (keys > maxKeys) throw new SessionLimitError(`${keys} keys, and at most ${maxKeys} are allowed (maxKeys)`);
    if (this.#bytes + added <= maxBytes) return;
    const exact = Buffer.byteLength(JSON.stringify(Object.fromEntries([...this.#values, ...this.#hidden])));
    if (exact <= maxBytes) return;
    throw new SessionLimitError(`${exact} bytes of JSON, and at most ${maxBytes} are allowed (maxBytes)`);
  }
}
