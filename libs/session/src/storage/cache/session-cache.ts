import { LRUCache } from 'lru-cache';
import { ShortValues } from '../../core/short-values.js';
import type { StoredSession } from '../../core/store.js';

export interface CacheLimits {
  /** Sessions at most. */
  readonly maxSessions: number;
  /** Bytes of their data at most, about. */
  readonly maxBytes: number;
  /** Milliseconds after which a session is loaded again in any case. */
  readonly maxAge: number;
}

/** Bytes of an entry beside the text of its data, about. */
const ENTRY_BYTES = 1024;

/** A load that is under way. */
export interface Load {
  /** On the monotonic clock. What it finds is no older than this. */
  readonly sentAt: number;
  /** Evictions that came before it. */
  readonly sequence: number;
}

/**
 * What a load found, to be shared by all who ask: nobody can change it, and it says when its durations were counted. An object
 * for each was the most of what a hit cost.
 */
export type Kept = Readonly<StoredSession> & { readonly shortValues: ShortValues; readonly countedAt: number };

interface Entry {
  readonly session: Kept;
  /** On the monotonic clock. */
  readonly until: number;
}

/**
 * Which sessions are kept, and for how long. The least recently used go first. All times are of the monotonic clock and
 * count from when a load was sent, so that an entry is never taken for younger than it is.
 *
 * What an eviction hits is gone, and what was being loaded meanwhile is not kept: it may be older than the write that the
 * eviction stands for.
 */
export class SessionCache {
  readonly #maxAge: number;
  readonly #entries: LRUCache<string, Entry>;
  /** The entry of a session by its id: the outside knows no more of it. */
  readonly #keys = new Map<string, string>();
  /** In the order in which they were sent. */
  readonly #loads = new Set<Load>();
  /** The last eviction of each id, the latest at the end; of those alone that a load may have missed. */
  readonly #evictions = new Map<string, number>();
  #sequence = 0;
  #clearedAt = 0;

  constructor({ maxSessions, maxBytes, maxAge }: CacheLimits) {
    this.#maxAge = maxAge;
    this.#entries = new LRUCache({
      max: maxSessions,
      maxSize: maxBytes,
      sizeCalculation: ({ session }) => session.data.length + ENTRY_BYTES,
      dispose: ({ session: { id } }, key) => {
        if (this.#keys.get(id) === key) this.#keys.delete(id);
      },
    });
  }

  /** `undefined` where it has to be loaded. */
  get(key: string, now: number): Kept | undefined {
    const entry = this.#entries.get(key);
    return entry && now < entry.until ? entry.session : undefined;
  }

  /** Has to be followed by {@link end}. */
  begin(now: number): Load {
    const load = { sentAt: now, sequence: this.#sequence };
    this.#loads.add(load);
    return load;
  }

  /** Keeps what was found, and answers it where others may have it too. */
  end(load: Load, key: string, session: StoredSession | undefined): Kept | undefined {
    const evictedAt = Math.max(this.#clearedAt, (session && this.#evictions.get(session.id)) ?? 0);
    this.#loads.delete(load);
    this.#forgetEvictions();
    if (!session || evictedAt > load.sequence) return undefined;
    const kept = Object.freeze({
      ...session,
      tokenHash: alone(session.tokenHash),
      shortValues: new ShortValues(session.data),
      // What it has left counts from the sending, so it never lives too long.
      countedAt: load.sentAt,
    });
    this.#keep(key, { session: kept, until: load.sentAt + Math.min(this.#maxAge, session.remaining) });
    return kept;
  }

  /** Whether a load is too old for others to wait for it. */
  isOld(load: Load, now: number): boolean {
    return now - load.sentAt >= this.#maxAge;
  }

  evict(id: string): void {
    this.#sequence += 1;
    const key = this.#keys.get(id);
    if (key !== undefined) this.#entries.delete(key);
    if (this.#loads.size === 0) return;
    this.#evictions.delete(id);
    this.#evictions.set(id, this.#sequence);
  }

  /** Evicts everything. */
  clear(): void {
    this.#sequence += 1;
    this.#clearedAt = this.#sequence;
    this.#entries.clear();
    this.#keys.clear();
  }

  #keep(key: string, entry: Entry): void {
    const { id } = entry.session;
    const other = this.#keys.get(id);
    // A session has one token, so the one that was kept before has been replaced.
    if (other !== undefined && other !== key) this.#entries.delete(other);
    this.#entries.set(key, entry);
    // What is larger than all of the cache is not kept.
    if (this.#entries.has(key)) this.#keys.set(id, key);
  }

  /** Of evictions that came before every load that is under way, none has to know any more. */
  #forgetEvictions(): void {
    const oldest = this.#loads.values().next().value?.sequence ?? this.#sequence;
    for (const [id, sequence] of this.#evictions) {
      if (sequence > oldest) return;
      this.#evictions.delete(id);
    }
  }
}

/** With memory of its own: a small buffer that is kept would keep the kilobytes around it that it was cut from. */
function alone(hash: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(hash.length);
  hash.copy(copy);
  return copy;
}
