import { applyAtomic } from '../core/atomic.js';
import { SessionStoreError } from '../core/errors.js';
import type { SessionLifetime } from '../core/options.js';
import type {
  Applied,
  AtomicOperation,
  AtomicOutcome,
  Delta,
  Found,
  Missed,
  NewSession,
  ReadValue,
  Replacement,
  SessionRef,
  SessionStore,
} from '../core/store.js';
import { PREVIOUS_TOKEN_MILLISECONDS } from '../core/token.js';

const GONE = { status: 'gone' } as const;
const REPLACED = { status: 'replaced' } as const;

export interface MemorySessionStoreOptions {
  /** Milliseconds since the epoch. Default: `Date.now`. A clock of your own lets a test pass the time. */
  readonly now?: () => number;
  /** Bytes of the data as JSON, as in `SessionModule.forRoot()`. Default: 65536. */
  readonly maxBytes?: number;
}

interface Row {
  readonly id: string;
  tokenHash: Buffer;
  userId: string | undefined;
  /** JSON text by key. */
  data: Map<string, string>;
  version: number;
  touchedAt: number;
  expiresAt: number;
  absoluteExpiresAt: number;
  idleTimeout: number;
  persistent: boolean;
  previousTokenHash?: Buffer;
  previousTokenUntil: number;
}

/**
 * Sessions in the memory of one process, for the tests of an application: no database, and nothing left behind. It does
 * what the port says, which `describeSessionStore` checks, but it cannot take part in a transaction: `save({ manager })`
 * is refused. Not for production: sessions end with the process, and a second node has others.
 */
export class MemorySessionStore implements SessionStore {
  readonly #rows = new Map<string, Row>();
  readonly #now: () => number;
  readonly #maxBytes: number;

  constructor({ now = Date.now, maxBytes = 65_536 }: MemorySessionStoreOptions = {}) {
    this.#now = now;
    this.#maxBytes = maxBytes;
  }

  async check(): Promise<void> {}

  async create({ id, tokenHash, userId, data, ...lifetime }: NewSession): Promise<Applied> {
    if (this.#rows.has(id)) throw refused();
    this.#refuseKnown(tokenHash);
    const row: Row = {
      id,
      tokenHash: Buffer.from(tokenHash),
      userId,
      data: new Map(Object.entries(data)),
      version: 1,
      previousTokenUntil: 0,
      ...beginning(this.#now(), lifetime),
    };
    this.#rows.set(id, row);
    return applied(row);
  }

  async find(tokenHashes: readonly Buffer[]): Promise<Found[]> {
    const now = this.#now();
    const isWanted = (hash: Buffer) => tokenHashes.some((wanted) => wanted.equals(hash));
    return [...this.#rows.values()].flatMap((row) => {
      const found: Found[] = [];
      if (row.expiresAt > now && isWanted(row.tokenHash)) found.push(liveOf(row, now));
      if (row.previousTokenHash && row.previousTokenUntil > now && isWanted(row.previousTokenHash)) {
        found.push(REPLACED);
      }
      return found;
    });
  }

  async read(ref: SessionRef, key: string): Promise<ReadValue | Missed> {
    const row = this.#ours(ref);
    return 'status' in row ? row : { status: 'read', value: row.data.get(key), version: row.version };
  }

  async update(ref: SessionRef, delta: Delta, touchAfter: number): Promise<Applied | Missed> {
    const row = this.#ours(ref);
    if ('status' in row) return row;
    merge(row, delta);
    this.#move(row, delta, touchAfter);
    return applied(row);
  }

  async touch(ref: SessionRef, touchAfter: number): Promise<Applied | undefined> {
    const row = this.#ours(ref);
    if ('status' in row) return undefined;
    return this.#touchWhenDue(row, touchAfter) ? applied(row) : undefined;
  }

  async replace(
    ref: SessionRef,
    { tokenHash, isUnsent, login }: Replacement,
    delta: Delta,
    touchAfter: number,
  ): Promise<Applied | Missed> {
    const row = this.#ours(ref);
    if ('status' in row) return row;
    this.#refuseKnown(tokenHash);
    if (!isUnsent) row.previousTokenHash = row.tokenHash;
    row.previousTokenUntil = this.#now() + PREVIOUS_TOKEN_MILLISECONDS;
    row.tokenHash = Buffer.from(tokenHash);
    if (login) {
      row.userId = login.userId;
      for (const key of row.data.keys()) if (!login.keep.includes(key)) row.data.delete(key);
      Object.assign(row, beginning(this.#now(), login));
    } else {
      this.#move(row, delta, touchAfter);
    }
    merge(row, delta);
    return applied(row);
  }

  async apply(ref: SessionRef, operation: AtomicOperation): Promise<AtomicOutcome> {
    const row = this.#ours(ref);
    if ('status' in row) return row;
    const { data, version } = row;
    const current = data.get(operation.key);
    const unfit = { status: 'unfit', value: current, version } as const;
    if (operation.kind === 'compareAndSet' && operation.version !== version) return unfit;
    // Nothing to take is no change.
    if (operation.kind === 'take' && current === undefined) return unfit;
    const result = applyAtomic(operation, current);
    if (!result.fits || !this.#hasRoom(data, operation.key, result.value)) return unfit;
    put(data, operation.key, result.value);
    row.version++;
    return { status: 'applied', value: operation.kind === 'take' ? current : result.value };
  }

  async delete(ref: SessionRef): Promise<{ readonly status: 'deleted' } | Missed> {
    const row = this.#ours(ref);
    if ('status' in row) return row;
    this.#rows.delete(row.id);
    return { status: 'deleted' };
  }

  async deleteExpired(limit: number): Promise<number> {
    const now = this.#now();
    const expired = [...this.#rows.values()].filter((row) => row.expiresAt <= now).slice(0, limit);
    for (const { id } of expired) this.#rows.delete(id);
    return expired.length;
  }

  /** The row that a write may change, or why there is none. */
  #ours({ id, tokenHash }: SessionRef): Row | Missed {
    const row = this.#rows.get(id);
    if (!row || row.expiresAt <= this.#now()) return GONE;
    return row.tokenHash.equals(tokenHash) ? row : REPLACED;
  }

  #refuseKnown(tokenHash: Buffer): void {
    for (const row of this.#rows.values()) if (row.tokenHash.equals(tokenHash)) throw refused();
  }

  #move(row: Row, { lifetime }: Delta, touchAfter: number): void {
    if (!lifetime) {
      this.#touchWhenDue(row, touchAfter);
      return;
    }
    const absoluteTimeout = lifetime.absoluteTimeout ?? row.absoluteExpiresAt - this.#now();
    Object.assign(row, beginning(this.#now(), { ...lifetime, absoluteTimeout }));
  }

  /** Never later than the absolute expiry, and never earlier than it was. */
  #touchWhenDue(row: Row, touchAfter: number): boolean {
    const now = this.#now();
    if (row.touchedAt > now - touchAfter) return false;
    row.touchedAt = now;
    row.expiresAt = Math.max(row.expiresAt, Math.min(row.absoluteExpiresAt, now + row.idleTimeout));
    return true;
  }

  /** What is too large already may still shrink. */
  #hasRoom(data: ReadonlyMap<string, string>, key: string, value: string | undefined): boolean {
    const bytes = Buffer.byteLength(textOf(put(new Map(data), key, value)));
    return bytes <= this.#maxBytes || bytes <= Buffer.byteLength(textOf(data));
  }
}

/** What an INSERT and a sign-in set, and nothing else: the absolute expiry above all. */
function beginning(now: number, { idleTimeout, absoluteTimeout, persistent }: SessionLifetime) {
  return {
    touchedAt: now,
    expiresAt: now + Math.min(idleTimeout, absoluteTimeout),
    absoluteExpiresAt: now + absoluteTimeout,
    idleTimeout,
    persistent,
  };
}

function merge(row: Row, { set, unset }: Delta): void {
  for (const key of unset) row.data.delete(key);
  for (const [key, json] of Object.entries(set)) row.data.set(key, json);
  row.version++;
}

function put(data: Map<string, string>, key: string, value: string | undefined): Map<string, string> {
  if (value === undefined) data.delete(key);
  else data.set(key, value);
  return data;
}

function liveOf({ id, tokenHash, userId, data, idleTimeout, persistent, expiresAt, ...row }: Row, now: number): Found {
  return {
    status: 'live',
    session: {
      id,
      tokenHash: Buffer.from(tokenHash),
      userId,
      data: textOf(data),
      idleTimeout,
      persistent,
      expiresAt,
      remaining: expiresAt - now,
      absoluteRemaining: row.absoluteExpiresAt - now,
      sinceTouched: now - row.touchedAt,
    },
  };
}

function applied({ expiresAt }: Row): Applied {
  return { status: 'applied', expiresAt };
}

function textOf(data: ReadonlyMap<string, string>): string {
  return `{${[...data].map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;
}

function refused(): SessionStoreError {
  return new SessionStoreError('refused', 'duplicate');
}
