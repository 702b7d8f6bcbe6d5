import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { SessionStoreError, type StoreFailure } from '../../core/errors.js';
import { serialize, type JsonLimits } from '../../core/json-profile.js';
import type { SessionLifetime } from '../../core/options.js';
import { parseJson } from '../../core/parse-json.js';
import type {
  Applied,
  AtomicOperation,
  Delta,
  JsonByKey,
  Missed,
  NewSession,
  Replacement,
  SessionRef,
  SessionStore,
  StoredSession,
} from '../../core/store.js';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** A `touchAfter` that is never due in a test, and one that always is. */
export const NEVER = 100 * HOUR;
export const ALWAYS = 0;

/** The lifetime of sessions that outlive every test. */
export const LONG: SessionLifetime = { idleTimeout: HOUR, absoluteTimeout: 10 * HOUR, persistent: true };

/** Of sessions that a test waits to see end: see {@link Sessions.end}. */
export const SHORT: SessionLifetime = { idleTimeout: 150, absoluteTimeout: HOUR, persistent: true };

export const NO_DELTA: Delta = { set: {}, unset: [] };

export type Values = Record<string, unknown>;

/** A session that a test has created. */
export interface Created extends SessionRef {
  readonly expiresAt: number;
}

/** The store under test, and what its tests do with it again and again. */
export class Sessions {
  readonly limits: JsonLimits;
  #store: SessionStore | undefined;

  constructor(maxBytes: number) {
    this.limits = { maxBytes, maxDepth: 16 };
  }

  get store(): SessionStore {
    assert(this.#store, 'createStore() has not resolved to { store }');
    return this.#store;
  }

  use(store: SessionStore): void {
    this.#store = store;
  }

  /** JSON text by key, as the session writes it. */
  json(values: Values): JsonByKey {
    const members = Object.entries(values).map(([key, value]) => [key, this.text(value)]);
    return Object.fromEntries(members) as JsonByKey;
  }

  text(value: unknown): string {
    return serialize(value, '$', this.limits);
  }

  delta(set: Values, unset: readonly string[] = []): Delta {
    return { set: this.json(set), unset };
  }

  /** A session to be created: nobody has its id or its token. */
  newSession(values: Values = {}, more: Partial<NewSession> = {}): NewSession {
    return { ...newRef(), userId: undefined, data: this.json(values), ...LONG, ...more };
  }

  async create(values: Values = {}, more: Partial<NewSession> = {}): Promise<Created> {
    const session = this.newSession(values, more);
    const { expiresAt } = wasApplied(await this.store.create(session));
    return { id: session.id, tokenHash: session.tokenHash, expiresAt };
  }

  /** Creates sessions, and resolves when their idle timeout has passed. */
  async createExpired(count: number): Promise<Created[]> {
    const created = await Promise.all(Array.from({ length: count }, () => this.create({ a: 1 }, SHORT)));
    await this.end();
    return created;
  }

  /** Waits until {@link SHORT} has passed, with a margin for a clock that is read coarsely. */
  async end(): Promise<void> {
    await delay(2 * SHORT.idleTimeout);
  }

  async live({ tokenHash }: Pick<SessionRef, 'tokenHash'>): Promise<StoredSession> {
    const [found, ...others] = await this.store.find([tokenHash]);
    assert.deepEqual([found?.status, others.length], ['live', 0], 'find() has to answer this one live session');
    assert(found?.status === 'live');
    return found.session;
  }

  async statuses(...tokenHashes: Buffer[]): Promise<string[]> {
    const found = await this.store.find(tokenHashes);
    return found.map(({ status }) => status).sort();
  }

  async values(ref: Pick<SessionRef, 'tokenHash'>): Promise<Values> {
    return parseJson((await this.live(ref)).data) as Values;
  }

  /** The value of one key as `read` answers it. */
  async value(ref: SessionRef, key: string): Promise<unknown> {
    return parse((await this.read(ref, key)).value);
  }

  async read(ref: SessionRef, key: string) {
    const read = await this.store.read(ref, key);
    assert(read.status === 'read', `read() answered ${read.status}`);
    return read;
  }

  async update(ref: SessionRef, set: Values, unset: readonly string[] = [], touchAfter = NEVER): Promise<Applied> {
    return wasApplied(await this.store.update(ref, this.delta(set, unset), touchAfter));
  }

  /** Replaces the token, and resolves to the session under its new one. */
  async replace(ref: SessionRef, more: Partial<Replacement> = {}, delta = NO_DELTA, touchAfter = NEVER) {
    const { tokenHash } = newRef();
    const replacement = { tokenHash, isUnsent: false, ...more };
    const { expiresAt } = wasApplied(await this.store.replace(ref, replacement, delta, touchAfter));
    return { id: ref.id, tokenHash: replacement.tokenHash, expiresAt };
  }

  /** The value that an operation answered, which has to apply. */
  async applied(ref: SessionRef, operation: AtomicOperation): Promise<unknown> {
    const outcome = await this.store.apply(ref, operation);
    assert(outcome.status === 'applied', `${operation.kind} answered ${outcome.status}`);
    return parse(outcome.value);
  }

  async unfit(ref: SessionRef, operation: AtomicOperation) {
    const outcome = await this.store.apply(ref, operation);
    assert(outcome.status === 'unfit', `${operation.kind} answered ${outcome.status}`);
    return { value: parse(outcome.value), version: outcome.version };
  }

  /** Every way to write to a session or to read it by its reference, so that all of them can be seen to miss. */
  async outcomes(ref: SessionRef): Promise<Record<string, string>> {
    const outcome = async (call: Promise<{ status: string } | undefined>) => (await call)?.status ?? 'not moved';
    const { store } = this;
    const replacement = () => ({ tokenHash: newRef().tokenHash, isUnsent: false });
    const login = { userId: 'mallory', keep: [], ...LONG };
    const apply = (operation: AtomicOperation) => outcome(store.apply(ref, operation));
    return {
      read: await outcome(store.read(ref, 'a')),
      update: await outcome(store.update(ref, this.delta({ late: 1 }), ALWAYS)),
      'empty update': await outcome(store.update(ref, NO_DELTA, ALWAYS)),
      'other lifetime': await outcome(store.update(ref, { ...NO_DELTA, lifetime: LONG }, ALWAYS)),
      touch: await outcome(store.touch(ref, ALWAYS)),
      replace: await outcome(store.replace(ref, replacement(), this.delta({ late: 1 }), ALWAYS)),
      login: await outcome(store.replace(ref, { ...replacement(), login }, NO_DELTA, ALWAYS)),
      increment: await apply({ kind: 'increment', key: 'late', by: 1 }),
      append: await apply({ kind: 'append', key: 'late', items: '[1]' }),
      setIfAbsent: await apply({ kind: 'setIfAbsent', key: 'late', value: '1' }),
      take: await apply({ kind: 'take', key: 'a' }),
      compareAndSet: await apply({ kind: 'compareAndSet', key: 'late', value: '1', version: 1 }),
    };
  }
}

/** What {@link Sessions.outcomes} has to be where each of them misses. */
export function allMissed(status: Missed['status']): Record<string, string> {
  const calls = ['read', 'update', 'empty update', 'other lifetime', 'replace', 'login'];
  const operations = ['increment', 'append', 'setIfAbsent', 'take', 'compareAndSet'];
  return { ...Object.fromEntries([...calls, ...operations].map((name) => [name, status])), touch: 'not moved' };
}

export function newRef(): SessionRef {
  return { id: randomUUID(), tokenHash: randomBytes(32) };
}

export function parse(json: string | undefined): unknown {
  return json === undefined ? undefined : parseJson(json);
}

export function wasApplied(outcome: Applied | Missed | undefined): Applied {
  assert(outcome?.status === 'applied', `expected "applied", and it was "${outcome?.status}"`);
  assert(Number.isFinite(outcome.expiresAt), 'expiresAt has to be a number');
  return outcome;
}

/** A failure that the core knows how to answer: the one class, nothing of the driver's error, and no secret. */
export async function failsWith(failure: StoreFailure, call: Promise<unknown>, ...secrets: Buffer[]): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    assert(error instanceof SessionStoreError, 'every failure has to be a SessionStoreError');
    assert.equal(error.failure, failure);
    assert.equal(error.cause, undefined, 'drivers print parameters: a SessionStoreError has no cause');
    for (const secret of secrets) {
      assert(!error.message.includes(secret.toString('hex')), 'an error never names a token');
    }
    return true;
  });
}

/** Calls something many times at once, and resolves to all answers. */
export function atOnce<R>(count: number, call: (index: number) => Promise<R>): Promise<R[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => call(index)));
}

export function tally(outcomes: readonly { status: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
