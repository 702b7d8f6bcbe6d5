import { checkKey, JsonProfileError, propertyPath, serialize } from '../core/json-profile.js';
import type { Delta, JsonByKey, SessionRef } from '../core/store.js';
import { sessionError } from './express-session.error.js';
import { COOKIE, cookieText, maxAgeOf, steady } from './session-cookie.js';

/** MariaDB and MySQL end at 32 levels, and the document is one of them. */
const MAX_DEPTH = 30;

/** A session object of a request at one moment. */
export interface Snapshot {
  /** JSON text by top-level key. */
  readonly values: ReadonlyMap<string, string>;
  /** Milliseconds; `undefined`: the cookie ends with the browser. */
  readonly maxAge: number | undefined;
}

const EMPTY: Snapshot = { values: new Map(), maxAge: undefined };

/** What is known of a session object: its row, and what that row had when the object was loaded or saved last. */
export class KnownSession {
  readonly sid: string;
  /** `undefined`: express-session generated it, and it has no row. */
  ref: SessionRef | undefined;
  stored: Snapshot;
  #last: Promise<unknown> = Promise.resolve();

  constructor(sid: string, ref?: SessionRef, stored = EMPTY) {
    this.sid = sid;
    this.ref = ref;
    this.stored = stored;
  }

  /** What is done with one object is done in the order in which it was asked for. */
  inTurn<R>(work: () => Promise<R>): Promise<R> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/**
 * @param before what the row has.
 * @throws ExpressSessionError for a value of which JSON cannot be made.
 */
export function snapshotOf(session: object, before?: Snapshot): Snapshot {
  const values = new Map<string, string>();
  const maxAge = steady(maxAgeOf((session as { cookie?: unknown }).cookie), before?.maxAge);
  for (const [key, value] of Object.entries(session) as [string, unknown][]) {
    const json = key === COOKIE ? cookieText(value, maxAge) : textOf(key, value);
    if (json !== undefined) values.set(key, json);
  }
  return { values, maxAge };
}

/**
 * What has changed, per top-level key. As express-session's users expect, a value is what `JSON.stringify` makes of it: a Date
 * its text. That has to be JSON which every database gives back unchanged.
 *
 * @throws ExpressSessionError for a key or a value that cannot be kept, or too much of them.
 */
export function deltaBetween(before: Snapshot, after: Snapshot, maxBytes: number): Delta {
  const set: Record<string, string> = Object.create(null);
  for (const [key, json] of after.values) {
    if (before.values.get(key) === json) continue;
    checkName(key);
    set[key] = checked(key, json, maxBytes);
  }
  const unset = [...before.values.keys()].filter((key) => !after.values.has(key));
  const bytes = bytesOf(after);
  // What is too large already may still shrink.
  if (bytes > maxBytes && bytes > bytesOf(before)) {
    throw sessionError('SESSION_VALUE', `${bytes} bytes of JSON, and at most ${maxBytes} are allowed (maxBytes)`);
  }
  return { set: set as JsonByKey, unset };
}

export function isEmpty({ set, unset }: Delta): boolean {
  return unset.length === 0 && Object.keys(set).length === 0;
}

function textOf(key: string, value: unknown): string | undefined {
  try {
    return JSON.stringify(value) as string | undefined;
  } catch {
    throw sessionError('SESSION_VALUE', `JSON.stringify refuses ${propertyPath('$', key)}`);
  }
}

function checkName(key: string): void {
  const problem = checkKey(key);
  if (problem) throw sessionError('SESSION_KEY', problem);
}

function checked(key: string, json: string, maxBytes: number): string {
  try {
    return serialize(JSON.parse(json), propertyPath('$', key), { maxDepth: MAX_DEPTH, maxBytes });
  } catch (error) {
    if (error instanceof JsonProfileError) throw sessionError('SESSION_VALUE', error.message);
    throw error;
  }
}

function bytesOf({ values }: Snapshot): number {
  let bytes = 2;
  for (const [key, json] of values) bytes += Buffer.byteLength(JSON.stringify(key)) + 1 + Buffer.byteLength(json) + 1;
  return values.size > 0 ? bytes - 1 : bytes;
}
