import { mapOf, parseObject, propertyPath, serialize } from './json-profile.js';
import { OWN_VALUE, type ShortValues } from './short-values.js';
import type { Delta } from './store.js';

/** What a value may be at most. */
export interface ValueLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  readonly maxKeys: number;
}

/** The changes do not fit the limits of a session. Names what was exceeded, never a value. */
export class SessionLimitError extends Error {}

/** Stands for what the row may or may not have: no JSON text is empty, so it differs from all of them. */
const UNKNOWN = '';

/** Stands for what another program nested so deep that `JSON.stringify` runs out of stack, and for the same reason differs. */
const TOO_DEEP = ' ';

/** Stands in for values until somebody looks, or where there are none. Nothing is ever put into it. */
const NO_VALUES: ReadonlyMap<string, unknown> = new Map<string, unknown>();

/** What becomes of the keys of a session in the course of a request. */
class Tracked {
  /** JSON as the row has it, of the keys that were handed out or written; `undefined`: the row has no such key. */
  readonly stored = new Map<string, string | undefined>();
  /** Keys whose value was set, and not just handed out. */
  readonly written = new Set<string>();
  /** Keys of the row that the filter keeps from the view. */
  hidden = NO_VALUES as Map<string, unknown>;
}

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
  /** What the text says, until more is asked for than words of it. */
  #data: Readonly<Record<string, unknown>> | undefined;
  #values = NO_VALUES as Map<string, unknown>;
  /** Made when the first object is handed out or the first key written: most requests only read a word or two. */
  #tracked: Tracked | undefined;
  /** Upper bound of the row's JSON in bytes. */
  #bytes: number;
  readonly #limits: ValueLimits;
  readonly #isVisible: KeyFilter | undefined;

  readonly #onTooDeep: (key: string) => void;
  readonly #shortValues: ShortValues | undefined;

  /**
   * @param onTooDeep is told of a value that cannot be handed out, as no JSON can be made of it again.
   * @param shortValues of this text, where requests share them and none is hidden.
   */
  constructor(
    text: string | undefined,
    limits: ValueLimits,
    onTooDeep: (key: string) => void,
    isVisible?: KeyFilter,
    shortValues?: ShortValues,
  ) {
    this.#text = text;
    this.#bytes = text === undefined ? 2 : boundOf(text, limits);
    this.#limits = limits;
    this.#onTooDeep = onTooDeep;
    this.#isVisible = isVisible;
    this.#shortValues = shortValues;
  }

  /** An object was handed out, or a key written: there may be a delta. */
  get isTracked(): boolean {
    return this.#tracked !== undefined;
  }

  get(key: string): unknown {
    const word = this.#wordOf(key);
    if (word !== OWN_VALUE) return word;
    const value = this.#parsed().get(key);
    if (typeof value === 'object' && value !== null) this.#remember(key);
    if (this.#tracked?.stored.get(key) !== TOO_DEEP) return value;
    // Handed out, it could be neither compared nor saved. The row keeps it.
    this.#values.delete(key);
    this.#stored.delete(key);
    this.#hide(key, value);
    this.#onTooDeep(key);
    return undefined;
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
    this.#written.add(key);
    this.#put(key, value);
  }

  delete(key: string): void {
    this.#remember(key);
    this.#values.delete(key);
  }

  /** @param spared stays. */
  clear(spared?: string): void {
    for (const key of [...this.keys(), ...this.#hidden.keys()]) if (key !== spared) this.delete(key);
  }

  /** Forgets all keys but these without counting it as a change: the row loses them by itself. */
  retain(keys: readonly string[]): void {
    const isKept = new Set(keys);
    for (const map of [this.#parsed(), this.#stored, this.#hidden]) {
      for (const key of map.keys()) if (!isKept.has(key)) map.delete(key);
    }
  }

  /** @throws SessionLimitError where a key would be one too many. */
  checkRoomFor(key: string): void {
    if (!this.has(key) && !this.#hidden.has(key)) this.#checkKeys(this.#values.size + this.#hidden.size + 1);
  }

  /**
   * What differs from the row, of all keys or of the named ones.
   *
   * @throws JsonProfileError for a value that is not plain JSON, {@link SessionLimitError} for too much of it.
   */
  delta(only?: readonly string[]): Delta | undefined {
    if (!this.#tracked || this.#stored.size === 0) return undefined;
    const set: Record<string, string> = Object.create(null);
    const unset: string[] = [];
    let added = 0;
    for (const key of only ?? this.#stored.keys()) {
      if (!this.#stored.has(key)) continue;
      const stored = this.#stored.get(key);
      const current = this.#values.has(key) ? this.#serialize(key, stored) : undefined;
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

  /**
   * The row has this delta now, or will have it when the operation that took it has had its turn.
   *
   * @returns JSON of its keys as the row had it before.
   */
  accept(delta: Delta): Map<string, string | undefined> {
    const before = new Map<string, string | undefined>();
    for (const key of Object.keys(delta.set)) {
      const json = delta.set[key]!;
      before.set(key, this.#stored.get(key));
      this.#stored.set(key, json);
      this.#bytes += Buffer.byteLength(json) + Buffer.byteLength(key) + 8;
    }
    for (const key of delta.unset) {
      before.set(key, this.#stored.get(key));
      this.#stored.set(key, undefined);
    }
    return before;
  }

  /** The row did not get an accepted delta, or nobody knows whether it did: the changes are pending again. */
  giveBack(delta: Delta): void {
    for (const key of [...Object.keys(delta.set), ...delta.unset]) this.#stored.set(key, UNKNOWN);
  }

  /**
   * The row did not keep an accepted delta: its transaction was undone. The view goes back with it, but for keys that the
   * request has changed since.
   *
   * @param before what {@link accept} returned.
   */
  revert(before: ReadonlyMap<string, string | undefined>): void {
    for (const [key, json] of before) this.absorb(key, json);
  }

  /** The row has this value now. The view follows, unless the request has changed the key meanwhile. */
  absorb(key: string, json: string | undefined): void {
    const isUnchanged = !this.#isChanged(key);
    this.#bytes += Buffer.byteLength(json ?? '') + Buffer.byteLength(key) + 8;
    this.#stored.set(key, json);
    if (!isUnchanged) return;
    // As if it had just been loaded.
    for (const keys of [this.#stored, this.#written, this.#values, this.#hidden]) keys.delete(key);
    if (json !== undefined) this.#show(key, parseValue(json));
  }

  get #stored(): Tracked['stored'] {
    return (this.#tracked ??= new Tracked()).stored;
  }

  get #written(): Tracked['written'] {
    return (this.#tracked ??= new Tracked()).written;
  }

  get #hidden(): Tracked['hidden'] {
    return (this.#tracked ??= new Tracked()).hidden;
  }

  #hide(key: string, value: unknown): void {
    const tracked = (this.#tracked ??= new Tracked());
    if (tracked.hidden === NO_VALUES) tracked.hidden = new Map();
    tracked.hidden.set(key, value);
  }

  #isChanged(key: string): boolean {
    const values = this.#parsed();
    if (!this.#stored.has(key)) return false;
    const stored = this.#stored.get(key);
    return values.has(key) ? !isSame(values.get(key), stored) : stored !== undefined;
  }

  /** What was only handed out, and is what it was, is not judged: the limits may be newer than the row. */
  #serialize(key: string, stored: string | undefined): string {
    const value = this.#values.get(key);
    if (!this.#written.has(key) && isSame(value, stored)) return stored!;
    return serialize(value, propertyPath('$', key), this.#limits);
  }

  /** A value that nobody can change in place, for which no map of all is made: most requests ask for no other. Or {@link OWN_VALUE}. */
  #wordOf(key: string): unknown {
    if (this.#text !== undefined && this.#shortValues) {
      const shared = this.#shortValues.get(key);
      if (shared !== OWN_VALUE) return shared;
    }
    if (this.#isVisible) return OWN_VALUE;
    this.#parseText();
    if (!this.#data) return OWN_VALUE;
    // The prototype's are none of the session's.
    const value = Object.hasOwn(this.#data, key) ? this.#data[key] : undefined;
    return typeof value === 'object' && value !== null ? OWN_VALUE : value;
  }

  #parsed(): Map<string, unknown> {
    this.#parseText();
    if (!this.#data) return this.#values;
    const values = mapOf(this.#data);
    this.#data = undefined;
    if (!this.#isVisible) return (this.#values = values);
    for (const [key, value] of values) this.#show(key, value);
    return this.#values;
  }

  #parseText(): void {
    if (this.#text === undefined) return;
    this.#data = parseObject(this.#text) ?? {};
    this.#text = undefined;
  }

  #show(key: string, value: unknown): void {
    if (this.#isVisible?.(key, value) === false) this.#hide(key, value);
    else this.#put(key, value);
  }

  #put(key: string, value: unknown): void {
    if (this.#values === NO_VALUES) this.#values = new Map();
    this.#values.set(key, value);
  }

  #remember(key: string): void {
    const values = this.#parsed();
    if (this.#stored.has(key)) return;
    const holder = this.#hidden.has(key) ? this.#hidden : values;
    this.#stored.set(key, holder.has(key) ? storedText(holder.get(key)) : undefined);
    this.#hidden.delete(key);
  }

  #checkLimits(added: number): void {
    const { maxBytes } = this.#limits;
    this.#checkKeys(this.#values.size + this.#hidden.size);
    if (this.#bytes + added <= maxBytes) return;
    const text = storedText(Object.fromEntries([...this.#values, ...this.#hidden]));
    const exact = text === TOO_DEEP ? this.#bytes + added : Buffer.byteLength(text);
    if (exact <= maxBytes) return;
    throw new SessionLimitError(`${exact} bytes of JSON, and at most ${maxBytes} are allowed (maxBytes)`);
  }

  #checkKeys(keys: number): void {
    const { maxKeys } = this.#limits;
    if (keys > maxKeys) throw new SessionLimitError(`${keys} keys, and at most ${maxKeys} are allowed (maxKeys)`);
  }
}

/** A value from the JSON text of a row; `undefined` is no value. As {@link parseObject} does, without any `__proto__`. */
export function parseValue(json: string | undefined): unknown {
  return json === undefined ? undefined : parseObject(`{"value":${json}}`)?.value;
}

/** Bytes of a text at most: UTF-8 has three for a unit of UTF-16. It is measured only where that could be too many. */
function boundOf(text: string, { maxBytes }: ValueLimits): number {
  const bound = text.length * 3;
  return bound <= maxBytes ? bound : Buffer.byteLength(text);
}

function storedText(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return TOO_DEEP;
  }
}

/** Whether a value is still what its JSON says. One that has become no JSON is not. */
function isSame(value: unknown, json: string | undefined): boolean {
  try {
    return JSON.stringify(value) === json;
  } catch {
    return false;
  }
}
