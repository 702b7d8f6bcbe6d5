import { hash, randomUUID } from 'node:crypto';
import { describeError, SessionStoreError } from '../errors.js';
import { objectText, parseData } from '../json-profile.js';
import type { SessionLifetime } from '../options.js';
import { touchAfterOf } from '../resolve-options.js';
import { MOVED_KEY, type Origin, type SessionContext } from '../session-context.js';
import type { Found, StoredSession } from '../store.js';
import { hashToken } from '../token.js';
import { carryOver } from './carry-over.js';
import { legacyFailure } from './legacy-failure.js';
import { LegacyLink } from './legacy-link.js';
import type { LegacySession, LegacySessions, ResolvedMigrateFrom } from './legacy-sessions.js';
import { MovedTokens } from './moved-tokens.js';

/** So much longer than ours the old session lives at least, in milliseconds: a request that extends ours takes a while. */
const MARGIN = 60_000;

/** Where a session comes from, as its row says. */
interface Mark {
  readonly id: string;
  /** Who was signed in there, hashed. */
  readonly identity: string;
}

/**
 * Opens sessions while the application moves from another store. A visitor who has the old cookie alone gets a session of
 * ours; both then live side by side, and where the old one has ended, or somebody else is signed in there, ours ends too.
 */
export class SessionMigration {
  readonly #context: SessionContext;
  readonly #legacy: LegacySessions;
  readonly #options: ResolvedMigrateFrom;
  readonly #tokens: MovedTokens;
  readonly #resolve: (found: readonly Found[]) => Origin;

  /** @param resolve what the manager makes of rows. */
  constructor(context: SessionContext, resolve: (found: readonly Found[]) => Origin) {
    this.#context = context;
    this.#legacy = context.legacy!;
    this.#options = context.options.migrateFrom!;
    this.#tokens = new MovedTokens(context.options.secrets);
    this.#resolve = resolve;
  }

  /** Whether old cookies still count. */
  get isOn(): boolean {
    return Date.now() < this.#options.until;
  }

  /** @param oldId of the old cookie, its signature verified. */
  async open(tokens: readonly string[], cookieSent: boolean, oldId: string | undefined): Promise<Origin> {
    // Asked for at once, as most answers need it.
    const old = oldId === undefined ? undefined : this.#read(oldId);
    old?.catch(() => {});
    try {
      const origin: Origin =
        tokens.length === 0 ? { status: 'anonymous', cookieSent } : await this.#find(tokens.map(hashToken));
      if (origin.status === 'anonymous') return await this.#openOld(tokens, cookieSent, oldId, old);
      if (origin.status !== 'live') return origin;
      const mark = this.#markOf(origin.session);
      const legacy = this.#link(mark?.id, oldId);
      if (!mark) return { ...origin, legacy };
      const source = mark.id === oldId ? await old : await this.#read(mark.id);
      if (await this.#stays(origin.session, mark, source)) return { ...origin, legacy };
      return oldId === undefined ? { status: 'anonymous', cookieSent } : await this.#move(oldId, await old, cookieSent);
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      this.#context.emit({ type: 'store-failed', operation: 'move', reason: error.reason });
      return { status: 'failed', failure: this.#context.toError(describeError('SESSION_UNAVAILABLE')) };
    }
  }

  /** For a request without a session of ours. */
  async #openOld(
    tokens: readonly string[],
    cookieSent: boolean,
    oldId: string | undefined,
    old: Promise<LegacySession | undefined> | undefined,
  ): Promise<Origin> {
    if (oldId === undefined) return { status: 'anonymous', cookieSent };
    // It has moved, and ended here: by its expiry, or by somebody who deleted the row.
    const hasEnded = this.#tokens.of(oldId).some((token) => tokens.includes(token));
    if (hasEnded) return { status: 'anonymous', cookieSent, legacy: this.#link(oldId) };
    return this.#move(oldId, await old, cookieSent);
  }

  async #move(oldId: string, old: LegacySession | undefined, cookieSent: boolean): Promise<Origin> {
    const hashes = this.#tokens.of(oldId).map(hashToken);
    const known = await this.#join(hashes, oldId, old);
    if (known) return known;
    if (!old) return { status: 'anonymous', cookieSent };
    try {
      return await this.#create(oldId, old);
    } catch (error) {
      if (!(error instanceof SessionStoreError) || error.failure !== 'refused') throw error;
    }
    // Another request was first. Where its session is not there any more, it has ended since, and that counts here too.
    return (await this.#join(hashes, oldId, old)) ?? { status: 'anonymous', cookieSent };
  }

  /** What became of the old session where somebody has moved it already. */
  async #join(hashes: readonly Buffer[], oldId: string, old: LegacySession | undefined): Promise<Origin | undefined> {
    const origin = await this.#find(hashes);
    if (origin.status === 'anonymous') return undefined;
    if (origin.status !== 'live') return origin;
    const mark = this.#markOf(origin.session);
    if (mark && !(await this.#stays(origin.session, mark, old))) return undefined;
    const token = this.#tokens.of(oldId).find((candidate) => hashToken(candidate).equals(origin.session.tokenHash));
    return { ...origin, legacy: this.#link(oldId), token };
  }

  async #create(oldId: string, old: LegacySession): Promise<Origin> {
    const { store, options, emit } = this.#context;
    const [token = ''] = this.#tokens.of(oldId);
    const mark = { from: this.#tokens.seal(oldId), as: this.#identityOf(old) };
    const { data, lost } = carryOver(old.data, { [MOVED_KEY]: JSON.stringify(mark) }, options);
    const lifetime = lifetimeOf(old, options.lifetime);
    const row = { id: randomUUID(), tokenHash: hashToken(token), userId: this.#userIdOf(old), ...lifetime };
    const { expiresAt } = await store.create({ ...row, data });
    emit({ type: 'migrated', id: row.id, lost });
    const session: StoredSession = {
      ...row,
      data: objectText(data),
      expiresAt,
      remaining: lifetime.idleTimeout,
      absoluteRemaining: lifetime.absoluteTimeout,
      sinceTouched: 0,
    };
    await this.#keep(session, oldId, old);
    return { status: 'live', session, legacy: this.#link(oldId), token };
  }

  /** Whether the session may go on: what it comes from is still there, and belongs to the same user. Ends it otherwise. */
  async #stays(session: StoredSession, mark: Mark, old: LegacySession | undefined): Promise<boolean> {
    if (old && this.#identityOf(old) === mark.identity) {
      await this.#keep(session, mark.id, old);
      return true;
    }
    await this.#context.store.delete(session);
    this.#context.emit({ type: 'migration-ended', id: session.id, reason: old ? 'changed' : 'gone' });
    return false;
  }

  /** The old session outlives ours, so that its absence means that somebody ended it. */
  async #keep(session: StoredSession, oldId: string, old: LegacySession): Promise<void> {
    const { options, emit } = this.#context;
    // Those of a cache were counted two seconds ago at most, of which the margin takes no notice.
    const { idleTimeout, absoluteRemaining } = session;
    const needed = Math.min(idleTimeout, absoluteRemaining) + MARGIN / 2;
    if (!this.#legacy.touch || (old.remaining ?? 0) >= needed) return;
    const granted = Math.min(idleTimeout + touchAfterOf(options, idleTimeout), absoluteRemaining) + MARGIN;
    try {
      await this.#legacy.touch(oldId, granted);
    } catch (error) {
      emit({ type: 'store-failed', operation: 'move-touch', reason: legacyFailure(error).reason });
    }
  }

  async #find(hashes: readonly Buffer[]): Promise<Origin> {
    return this.#resolve(await this.#context.store.find(hashes));
  }

  async #read(id: string): Promise<LegacySession | undefined> {
    try {
      return await this.#legacy.read(id);
    } catch (error) {
      throw legacyFailure(error);
    }
  }

  #link(...ids: (string | undefined)[]): LegacyLink | undefined {
    const known = new Set(ids.filter((id) => id !== undefined));
    return known.size === 0 ? undefined : new LegacyLink(this.#legacy, [...known]);
  }

  #markOf(session: StoredSession): Mark | undefined {
    if (!session.data.includes(MOVED_KEY)) return undefined;
    const mark = parseData(session.data)?.get(MOVED_KEY) as { from?: unknown; as?: unknown } | undefined;
    if (typeof mark?.from !== 'string' || typeof mark.as !== 'string') return undefined;
    const id = this.#tokens.unseal(mark.from);
    return id === undefined ? undefined : { id, identity: mark.as };
  }

  /** A hash of who is signed in, by the application's `userId` or by passport. */
  #identityOf(old: LegacySession): string {
    const { user } = (old.data.passport ?? {}) as { user?: unknown };
    return hash('sha256', JSON.stringify([this.#userIdOf(old), user]), 'base64url').slice(0, 22);
  }

  #userIdOf({ data }: LegacySession): string | undefined {
    const userId = this.#options.userId?.(data);
    return typeof userId === 'string' && userId !== '' && userId.length <= 255 ? userId : undefined;
  }
}

/**
 * As long as it would live there, and no longer than ours do. `originalMaxAge` is what every use there grants anew; without
 * it the old cookie ends with the browser.
 */
function lifetimeOf({ data }: LegacySession, ours: SessionLifetime): SessionLifetime {
  const { originalMaxAge } = (data.cookie ?? {}) as { originalMaxAge?: unknown };
  if (typeof originalMaxAge !== 'number' || !(originalMaxAge >= 1)) {
    return { ...ours, persistent: ours.persistent && data.cookie === undefined };
  }
  return { ...ours, idleTimeout: Math.min(ours.idleTimeout, Math.floor(originalMaxAge)) };
}
