import { describeValue, quote } from './display.js';
import { needsRevival, parseJson } from './parse-json.js';

/** What one serialised value may be at most. */
export interface JsonLimits {
  /** Levels of arrays and objects; a primitive has none, `[]` has one. */
  readonly maxDepth: number;
  /** Bytes of the JSON text as UTF-8. */
  readonly maxBytes: number;
}

/** A value that is outside the profile. Names where and why, and never holds the value itself. */
export class JsonProfileError extends Error {
  constructor(
    /** Such as `$.cart[2].price`; long keys are cut, unprintable characters are escaped. */
    readonly path: string,
    readonly reason: string,
  ) {
    super(`${path} ${reason}`);
    this.name = 'JsonProfileError';
  }
}

/**
 * JSON text of a value, if it is one that every database keeps and gives back unchanged: well-formed strings without
 * U+0000, finite numbers whose integers are exact, booleans, null, and plain arrays and objects of those. Properties
 * that are `undefined` are left out and `-0` becomes `0`, as JSON.stringify does; everything else that it would turn
 * into something different is refused.
 *
 * Nested keys may be any well-formed text without U+0000 except `__proto__`, which becomes a prototype in careless
 * copies. `constructor` and `prototype` are ordinary words there; {@link checkKey} refuses them at the top.
 *
 * @param path where the value is: see {@link propertyPath}.
 * @throws JsonProfileError
 */
export function serialize(value: unknown, path: string, limits: JsonLimits): string {
  const text = stringify(value, path, limits);
  if (Buffer.byteLength(text) > limits.maxBytes) throw tooLarge(path, limits);
  return text;
}

/**
 * The top-level keys of a row's data, or `undefined` where the text is not a JSON object. A `__proto__` at any level is
 * left out, also one that did not come in through {@link serialize}.
 */
export function parseData(text: string): Map<string, unknown> | undefined {
  const data = parseObject(text);
  return data && mapOf(data);
}

/** The same as the object that `JSON.parse` makes, which has the prototype of all objects. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const data = parseJson(text);
    return isObject(data) && !Array.isArray(data) ? (data as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Without the pairs that `Object.entries` would make. */
export function mapOf(data: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const map = new Map<string, unknown>();
  for (const key of Object.keys(data)) map.set(key, data[key]);
  return map;
}

/** A JSON object of values that are JSON already. Made for every write, so without pairs and lists. */
export function objectText(values: Readonly<Record<string, string>>): string {
  let members = '';
  for (const key of Object.keys(values)) members += `${members && ','}${JSON.stringify(key)}:${values[key]!}`;
  return `{${members}}`;
}

/** Whether {@link parseData} can read a text that is a valid JSON object. Without parsing it, where that is possible. */
export function isReadable(text: string): boolean {
  // A text that is nested a thousand levels deep defeats recursion.
  return !needsRevival(text) || parseObject(text) !== undefined;
}

/** Why a text (or whatever a caller gave) cannot be a top-level key, or `undefined` where it can. */
export function checkKey(key: unknown): string | undefined {
  if (typeof key !== 'string') return `a key must be a string, and this one is ${describeValue(key)}`;
  const problem = keyProblem(key);
  return problem && `${quote(key)} ${problem}`;
}

/** Extends a path by a key, for {@link serialize} and for messages. The path of the session itself is `$`. */
export function propertyPath(path: string, key: string): string {
  return IDENTIFIER.test(key) ? `${path}.${key}` : `${path}[${quote(key)}]`;
}

const MAX_KEY_LENGTH = 128;

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

const CONTROL = /\p{Cc}/u;

const POISONED_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype'];

const OBJECT_SOURCE = Function.prototype.toString.call(Object);

/** Node 20 has it, TypeScript's library for ES2023 does not. */
type WellFormedString = string & { isWellFormed(): boolean };

// Ten times as fast as a property descriptor, which would have to be allocated for every property of every write.
const { __lookupGetter__: lookupGetter } = Object.prototype as unknown as {
  __lookupGetter__(key: PropertyKey): (() => unknown) | undefined;
};

function keyProblem(key: string): string | undefined {
  if (key === '') return 'is empty';
  if (key.length > MAX_KEY_LENGTH) return `is longer than ${MAX_KEY_LENGTH} characters`;
  if (key.startsWith('$')) return 'is reserved: keys that begin with $ belong to the module';
  if (POISONED_KEYS.includes(key)) return 'is refused: copied carelessly it changes prototypes';
  if (CONTROL.test(key)) return 'has a control character in it';
  if (!isWellFormed(key)) return 'is not well-formed Unicode';
  return undefined;
}

function stringify(value: unknown, path: string, limits: JsonLimits): string {
  try {
    new Validation(path, limits).visit(value, 0);
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof JsonProfileError) throw error;
    // What a Proxy or a patched prototype throws may hold anything, so nothing of it is passed on.
    throw new JsonProfileError(path, 'cannot be read');
  }
}

/** One walk over a value. It calls no code of the value's own, Proxy traps aside. */
class Validation {
  readonly #path: string;
  readonly #limits: JsonLimits;
  /** Keys from the root to what is visited: entries beyond the current depth are left over and mean nothing. */
  readonly #trail: (string | number)[] = [];
  /** Bytes left, counted from below, so that a small graph that unfolds into a huge text is given up early. */
  #bytesLeft: number;

  constructor(path: string, limits: JsonLimits) {
    this.#path = path;
    this.#limits = limits;
    this.#bytesLeft = limits.maxBytes;
  }

  /** @param depth number of containers around the value. */
  visit(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
        this.#spend(value.length + 2);
        return this.#checkText(value, depth);
      case 'number':
        this.#spend(1);
        return this.#checkNumber(value, depth);
      case 'boolean':
        return this.#spend(4);
      case 'object':
        if (value === null) return this.#spend(4);
        return Array.isArray(value) ? this.#visitArray(value, depth) : this.#visitObject(value, depth);
      case 'bigint':
        return this.#refuse(depth, 'is a BigInt; keep its text instead');
      case 'undefined':
        return this.#refuse(depth, 'is undefined; leave it out or use null');
      default:
        return this.#refuse(depth, `is a ${typeof value}`);
    }
  }

  #visitArray(array: unknown[], depth: number): void {
    this.#enter(depth);
    // Before anything that takes as long as the array is: `length = 1e7` is one assignment.
    this.#spend(array.length);
    if (!isArrayPrototype(Object.getPrototypeOf(array))) this.#refuse(depth, 'is an instance of a subclass of Array');

    // Fewer keys than indices leave a hole, and more would get lost. (One of each: the hole is then met as undefined.)
    if (Object.keys(array).length !== array.length || hasSymbols(array)) {
      this.#refuse(depth, 'is an array with holes or with properties of its own');
    }
    for (let index = 0; index < array.length; index++) {
      this.#trail[depth] = index;
      if (hasGetter(array, index)) this.#refuse(depth + 1, 'is a getter');
      this.visit(array[index], depth + 1);
    }
  }

  #visitObject(object: object, depth: number): void {
    this.#enter(depth);
    if (!isPlain(object)) this.#refuse(depth, describeInstance(object));

    const keys = Object.keys(object);
    if (Object.getOwnPropertyNames(object).length !== keys.length || hasSymbols(object)) {
      this.#refuse(depth, 'has symbol keys or properties that are not enumerable');
    }
    for (const key of keys) {
      this.#trail[depth] = key;
      if (hasGetter(object, key)) this.#refuse(depth + 1, 'is a getter');
      const value = (object as Record<string, unknown>)[key];
      if (value === undefined) continue;
      this.#spend(key.length + '"":,'.length);
      this.#checkNestedKey(key, depth + 1);
      this.visit(value, depth + 1);
    }
  }

  #enter(depth: number): void {
    this.#spend(1);
    if (depth < this.#limits.maxDepth) return;
    this.#refuse(depth, `is nested deeper than ${this.#limits.maxDepth} levels, or contains itself`);
  }

  #checkNestedKey(key: string, depth: number): void {
    if (key === '__proto__') this.#refuse(depth, 'is refused as a key: copied carelessly it changes prototypes');
    this.#checkText(key, depth, 'is a key that ');
  }

  #checkText(text: string, depth: number, subject = ''): void {
    if (!isWellFormed(text)) this.#refuse(depth, `${subject}is not well-formed Unicode`);
    if (text.includes('\0')) this.#refuse(depth, `${subject}contains U+0000, which not every database keeps`);
  }

  #checkNumber(value: number, depth: number): void {
    if (!Number.isFinite(value)) this.#refuse(depth, 'is not a finite number');
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      this.#refuse(depth, 'is an integer beyond 2^53 - 1, where numbers are no longer exact; keep its text instead');
    }
  }

  #spend(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft < 0) throw tooLarge(this.#path, this.#limits);
  }

  #refuse(depth: number, reason: string): never {
    const keys = this.#trail.slice(0, depth);
    const path = keys.reduce<string>(
      (parent, key) => (typeof key === 'number' ? `${parent}[${key}]` : propertyPath(parent, key)),
      this.#path,
    );
    throw new JsonProfileError(path, reason);
  }
}

function tooLarge(path: string, limits: JsonLimits): JsonProfileError {
  return new JsonProfileError(path, `is larger than ${limits.maxBytes} bytes as JSON`);
}

function describeInstance(object: object): string {
  if (object instanceof Date) return 'is a Date; keep its ISO text or its milliseconds instead';
  return 'is not a plain object but an instance of a class; convert it to plain data first';
}

function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === null || isObjectPrototype(prototype);
}

/** `Object.prototype`, also that of another realm (`node:vm`, Jest). */
function isObjectPrototype(prototype: unknown): boolean {
  if (prototype === Object.prototype) return true;
  if (!isObject(prototype) || Object.getPrototypeOf(prototype) !== null) return false;

  const constructor: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof constructor === 'function' && Function.prototype.toString.call(constructor) === OBJECT_SOURCE;
}

/** `Array.prototype`, also that of another realm. Unlike the prototype of a subclass it is itself an array. */
function isArrayPrototype(prototype: unknown): boolean {
  if (prototype === Array.prototype) return true;
  return Array.isArray(prototype) && isObjectPrototype(Object.getPrototypeOf(prototype));
}

function hasSymbols(object: object): boolean {
  return Object.getOwnPropertySymbols(object).length > 0;
}

function hasGetter(object: object, key: string | number): boolean {
  return lookupGetter.call(object, key) !== undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isWellFormed(text: string): boolean {
  return (text as WellFormedString).isWellFormed();
}
