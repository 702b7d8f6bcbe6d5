import { parseData } from './json-profile.js';

/** Characters of a text at most: the rest of a session is not kept twice. */
const LONGEST = 64;
/** Keys of a session at most. */
const MOST_KEYS = 32;

/** Stands for a value that each request has to parse for itself: an object, which it could change, or a long text. */
export const OWN_VALUE = Symbol('nestjs-typeorm-session.ownValue');

/**
 * What requests may share of the data of one session: parsed once for all of them, when the first asks. Who only reads a word
 * or two need not parse the rest.
 */
export class ShortValues {
  readonly #text: string;
  #values: ReadonlyMap<string, unknown> | undefined;

  /** @param text of a row's data, as a session has it that is not filtered. */
  constructor(text: string) {
    this.#text = text;
  }

  /** The value, `undefined` where there is none, or {@link OWN_VALUE}. */
  get(key: string): unknown {
    const values = (this.#values ??= shortValuesOf(this.#text));
    return values === NOTHING_KNOWN ? OWN_VALUE : values.get(key);
  }
}

const NOTHING_KNOWN: ReadonlyMap<string, unknown> = new Map<string, unknown>();

function shortValuesOf(text: string): ReadonlyMap<string, unknown> {
  const all = parseData(text);
  if (!all || all.size > MOST_KEYS) return NOTHING_KNOWN;
  for (const [key, value] of all) if (!isShort(value)) all.set(key, OWN_VALUE);
  return all;
}

function isShort(value: unknown): boolean {
  return typeof value === 'string' ? value.length <= LONGEST : typeof value !== 'object' || value === null;
}
