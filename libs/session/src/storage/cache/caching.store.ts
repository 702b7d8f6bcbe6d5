import type { Found, JoinedStore, SessionStore, StoredSession } from '../../core/store.js';
import type { Announcements } from './announcements.js';
import { SessionCache, type CacheLimits, type Kept, type Load } from './session-cache.js';
import { WatchedStore } from './watched.store.js';

interface SharedLoad extends Load {
  /** What others may have of it. Never rejects before somebody waits. */
  readonly kept: Promise<Kept | undefined>;
}

/**
 * A store that remembers what it has loaded, and tells other nodes of what it has written. Only reads that open a session
 * are answered from memory: a write never depends on it. What this node writes it evicts before anybody is told that it is
 * written, so here every read sees it.
 */
export class CachingStore extends WatchedStore {
  override readonly join?: (manager: object) => JoinedStore;
  readonly #inner: SessionStore;
  readonly #announcements: Announcements;
  readonly #cache: SessionCache;
  readonly #loads = new Map<string, SharedLoad>();
  #started: Promise<void> | undefined;

  constructor(inner: SessionStore, limits: CacheLimits, announcements: Announcements) {
    super(inner, (id, isToAnnounce) => this.#written(id, isToAnnounce));
    this.#inner = inner;
    this.#announcements = announcements;
    this.#cache = new SessionCache(limits);
    if (inner.join) this.join = (manager) => this.#join(inner.join!(manager));
  }

  override async check(): Promise<void> {
    await super.check();
    await (this.#started ??= this.#announcements.start(this.#cache));
  }

  peek(tokenHash: Buffer): StoredSession | undefined {
    const now = performance.now();
    if (!this.#announcements.isHeard(now)) return undefined;
    return this.#cache.get(keyOf(tokenHash), now);
  }

  override find(tokenHashes: readonly Buffer[]): Promise<Found[]> {
    const now = performance.now();
    // Two live cookies are a fault, and not worth remembering.
    const [tokenHash, second] = tokenHashes;
    if (!tokenHash || second || !this.#announcements.isHeard(now)) return this.#inner.find(tokenHashes);
    const key = keyOf(tokenHash);
    const session = this.#cache.get(key, now);
    if (session) return Promise.resolve([{ status: 'live', session }]);
    const shared = this.#loads.get(key);
    return shared && !this.#cache.isOld(shared, now)
      ? this.#wait(shared, tokenHashes)
      : this.#load(key, tokenHashes, now);
  }

  override async close(): Promise<void> {
    await this.#announcements.close();
    await super.close();
  }

  #load(key: string, tokenHashes: readonly Buffer[], now: number): Promise<Found[]> {
    const load = this.#cache.begin(now);
    const found = this.#inner.find(tokenHashes);
    const end = (only?: Found) => {
      if (this.#loads.get(key) === shared) this.#loads.delete(key);
      return this.#cache.end(load, key, only?.status === 'live' ? only.session : undefined);
    };
    const kept = found.then(
      ([only]) => end(only),
      (error: unknown) => {
        end();
        throw error;
      },
    );
    // It is the error of those who wait, if anybody does.
    kept.catch(() => {});
    const shared: SharedLoad = { ...load, kept };
    this.#loads.set(key, shared);
    return found;
  }

  /** Only a live session that nobody has written meanwhile is shared. */
  async #wait(shared: SharedLoad, tokenHashes: readonly Buffer[]): Promise<Found[]> {
    const session = await shared.kept;
    const isLive = session && performance.now() < session.countedAt + session.remaining;
    return isLive ? [{ status: 'live', session }] : this.#inner.find(tokenHashes);
  }

  #written(id: string, isToAnnounce: boolean): void {
    this.#cache.evict(id);
    if (isToAnnounce) this.#announcements.announce(id);
  }

  /** What is written in a transaction is there with its end, and nobody reads it from memory before. */
  #join({ store, ended }: JoinedStore): JoinedStore {
    const written = new Map<string, boolean>();
    const watched = new WatchedStore(store, (id, isToAnnounce) => {
      written.set(id, isToAnnounce || (written.get(id) ?? false));
    });
    return {
      store: watched,
      ended: ended.then((end) => {
        for (const [id, isToAnnounce] of written) this.#written(id, isToAnnounce && end !== 'rolledBack');
        return end;
      }),
    };
  }
}

/** Any text that keeps the bytes of hashes apart. */
function keyOf(tokenHash: Buffer): string {
  return tokenHash.toString('latin1');
}
