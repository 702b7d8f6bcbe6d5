import { setTimeout as delay } from 'node:timers/promises';
import {
  applyAtomic,
  SessionStoreError,
  type Applied,
  type AtomicOperation,
  type AtomicOutcome,
  type Delta,
  type Found,
  type Missed,
  type NewSession,
  type ReadValue,
  type Replacement,
  type SessionLifetime,
  type SessionRef,
  type SessionStore,
} from 'nestjs-typeorm-session';

/** What the store needs of the place where the sessions are. */
export interface Entries {
  /** Milliseconds since the epoch, by one clock for all nodes. */
  now(): Promise<number>;
  get(name: string): Promise<{ text: string; revision: number } | undefined>;
  /** Writes if the entry still has this revision; `undefined`: if there is none. Says whether it did. */
  put(name: string, text: string, revision: number | undefined): Promise<boolean>;
  /** Deletes if the entry still has this revision. */
  delete(name: string, revision: number): Promise<boolean>;
  names(prefix: string): Promise<string[]>;
}

interface Row {
  readonly id: string;
  readonly tokenHash: string;
  readonly userId?: string;
  /** JSON text by key: pairs, as a key may be any text. */
  readonly data: readonly (readonly [key: string, json: string])[];
  readonly version: number;
  readonly touchedAt: number;
  readonly expiresAt: number;
  readonly absoluteExpiresAt: number;
  readonly idleTimeout: number;
  readonly persistent: boolean;
  readonly previous?: { readonly tokenHash: string; readonly until: number };
}

interface Stored {
  readonly row: Row;
  readonly revision: number;
}

/** What a write makes of a row: the next one, or an answer without any. */
type Decision<Answer> = { readonly next: Row; readonly answer: Answer } | { readonly answer: Answer };

const ATTEMPTS = 200;

export class EntrySessionStore implements SessionStore {
  constructor(
    private readonly entries: Entries,
    private readonly maxBytes = 65_536,
  ) {}

  async check(): Promise<void> {
    await this.entries.now();
  }

  async create(session: NewSession): Promise<Applied> {
    const { id, userId, data } = session;
    const tokenHash = session.tokenHash.toString('hex');
    const lifetime = beginning(await this.entries.now(), session);
    const row: Row = { id, tokenHash, userId, data: Object.entries(data), version: 1, ...lifetime };
    if (!(await this.entries.put(`session/${id}`, JSON.stringify(row), undefined))) throw refused();
    try {
      await this.reserve(tokenHash, id);
    } catch (error) {
      // Without its token nobody finds it, but the id would be taken until it expires.
      const stored = await this.load(id);
      if (stored) await this.entries.delete(`session/${id}`, stored.revision);
      throw error;
    }
    return applied(row);
  }

  async find(tokenHashes: readonly Buffer[]): Promise<Found[]> {
    const found = await Promise.all(tokenHashes.map((tokenHash) => this.findOne(tokenHash)));
    return found.flat();
  }

  async read(ref: SessionRef, key: string): Promise<ReadValue | Missed> {
    const row = oursOf(await this.load(ref.id), ref, await this.entries.now());
    return 'status' in row ? row : { status: 'read', value: new Map(row.data).get(key), version: row.version };
  }

  update(ref: SessionRef, delta: Delta, touchAfter: number): Promise<Applied | Missed> {
    return this.write(ref, (row, now) => {
      const next = merged(moved(row, delta, touchAfter, now) ?? row, delta);
      return { next, answer: applied(next) };
    });
  }

  async touch(ref: SessionRef, touchAfter: number): Promise<Applied | undefined> {
    const outcome = await this.write(ref, (row, now) => {
      const next = touchedWhenDue(row, touchAfter, now);
      return next ? { next, answer: applied(next) } : { answer: undefined };
    });
    return outcome?.status === 'applied' ? outcome : undefined;
  }

  async replace(
    ref: SessionRef,
    { tokenHash, isUnsent, login }: Replacement,
    delta: Delta,
    touchAfter: number,
  ): Promise<Applied | Missed> {
    await this.reserve(tokenHash.toString('hex'), ref.id);
    return this.write(ref, (row, now) => {
      const until = now + 30_000;
      const previous = isUnsent ? row.previous && { ...row.previous, until } : { tokenHash: row.tokenHash, until };
      const kept = login && {
        userId: login.userId,
        data: row.data.filter(([key]) => login.keep.includes(key)),
        ...beginning(now, login),
      };
      const lifetime = kept ?? moved(row, delta, touchAfter, now);
      const next = merged({ ...row, ...lifetime, tokenHash: tokenHash.toString('hex'), previous }, delta);
      return { next, answer: applied(next) };
    });
  }

  apply(ref: SessionRef, operation: AtomicOperation): Promise<AtomicOutcome> {
    return this.write<Exclude<AtomicOutcome, Missed>>(ref, (row) => {
      const { key, kind } = operation;
      const { version } = row;
      const current = new Map(row.data).get(key);
      const unfit = { answer: { status: 'unfit', value: current, version } } as const;
      if (kind === 'compareAndSet' && operation.version !== version) return unfit;
      if (kind === 'take' && current === undefined) return unfit;
      const result = applyAtomic(operation, current);
      if (!result.fits) return unfit;
      const { value } = result;
      const next = merged(row, value === undefined ? { set: {}, unset: [key] } : { set: { [key]: value }, unset: [] });
      const bytes = Buffer.byteLength(textOf(next));
      if (bytes > this.maxBytes && bytes > Buffer.byteLength(textOf(row))) return unfit;
      return { next, answer: { status: 'applied', value: kind === 'take' ? current : value } };
    });
  }

  async delete(ref: SessionRef): Promise<{ readonly status: 'deleted' } | Missed> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const stored = await this.load(ref.id);
      const row = oursOf(stored, ref, await this.entries.now());
      if ('status' in row) return row;
      if (await this.entries.delete(`session/${ref.id}`, stored!.revision)) return { status: 'deleted' };
    }
    throw new SessionStoreError('conflict', 'attempts');
  }

  async deleteExpired(limit: number): Promise<number> {
    let deleted = 0;
    for (const name of await this.entries.names('session/')) {
      if (deleted === limit) break;
      const stored = await this.load(name.slice('session/'.length));
      if (!stored || stored.row.expiresAt > (await this.entries.now())) continue;
      // On the condition that it is still the same: a session that was prolonged meanwhile stays.
      if (await this.entries.delete(name, stored.revision)) deleted++;
    }
    // Tokens that lead nowhere any more go too.
    for (const name of await this.entries.names('token/')) {
      const pointer = await this.entries.get(name);
      if (pointer && !(await this.load(pointer.text))) await this.entries.delete(name, pointer.revision);
    }
    return deleted;
  }

  /** Reads, decides, and writes if nobody else has meanwhile. */
  private async write<Answer>(
    ref: SessionRef,
    decide: (row: Row, now: number) => Decision<Answer>,
  ): Promise<Answer | Missed> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const stored = await this.load(ref.id);
      const now = await this.entries.now();
      const row = oursOf(stored, ref, now);
      if ('status' in row) return row;
      const decision = decide(row, now);
      if (!('next' in decision)) return decision.answer;
      const { next, answer } = decision;
      if (await this.entries.put(`session/${ref.id}`, JSON.stringify(next), stored!.revision)) return answer;
      await delay(Math.random() * attempt);
    }
    throw new SessionStoreError('conflict', 'attempts');
  }

  private async load(id: string): Promise<Stored | undefined> {
    const entry = await this.entries.get(`session/${id}`);
    return entry && { row: JSON.parse(entry.text) as Row, revision: entry.revision };
  }

  /** The entry of a token says which session to look at, and the session says whether the token is its own. */
  private async findOne(tokenHash: Buffer): Promise<Found[]> {
    const hash = tokenHash.toString('hex');
    const pointer = await this.entries.get(`token/${hash}`);
    const stored = pointer && (await this.load(pointer.text));
    const now = await this.entries.now();
    if (!stored) return [];
    const { id, userId, idleTimeout, persistent, expiresAt, ...row } = stored.row;
    if (row.previous?.tokenHash === hash && row.previous.until > now) return [{ status: 'replaced' }];
    if (row.tokenHash !== hash || expiresAt <= now) return [];
    const left = { remaining: expiresAt - now, absoluteRemaining: row.absoluteExpiresAt - now };
    const times = { expiresAt, ...left, sinceTouched: now - row.touchedAt };
    const data = textOf(stored.row);
    return [{ status: 'live', session: { id, tokenHash, userId, data, idleTimeout, persistent, ...times } }];
  }

  private async reserve(tokenHash: string, id: string): Promise<void> {
    if (!(await this.entries.put(`token/${tokenHash}`, id, undefined))) throw refused();
  }
}

function oursOf(stored: Stored | undefined, { tokenHash }: SessionRef, now: number): Row | Missed {
  if (!stored || stored.row.expiresAt <= now) return { status: 'gone' };
  return stored.row.tokenHash === tokenHash.toString('hex') ? stored.row : { status: 'replaced' };
}

function beginning(now: number, { idleTimeout, absoluteTimeout, persistent }: SessionLifetime) {
  const expiresAt = now + Math.min(idleTimeout, absoluteTimeout);
  return { touchedAt: now, expiresAt, absoluteExpiresAt: now + absoluteTimeout, idleTimeout, persistent };
}

function moved(row: Row, { lifetime }: Delta, touchAfter: number, now: number): Row | undefined {
  if (!lifetime) return touchedWhenDue(row, touchAfter, now);
  const absoluteTimeout = lifetime.absoluteTimeout ?? row.absoluteExpiresAt - now;
  return { ...row, ...beginning(now, { ...lifetime, absoluteTimeout }) };
}

function touchedWhenDue(row: Row, touchAfter: number, now: number): Row | undefined {
  if (row.touchedAt > now - touchAfter) return undefined;
  const expiresAt = Math.max(row.expiresAt, Math.min(row.absoluteExpiresAt, now + row.idleTimeout));
  return { ...row, touchedAt: now, expiresAt };
}

function merged(row: Row, { set, unset }: Delta): Row {
  const data = new Map([...row.data, ...Object.entries(set)]);
  for (const key of unset) data.delete(key);
  return { ...row, data: [...data], version: row.version + 1 };
}

function textOf({ data }: Row): string {
  return `{${data.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;
}

function applied({ expiresAt }: Row): Applied {
  return { status: 'applied', expiresAt };
}

function refused(): SessionStoreError {
  return new SessionStoreError('refused', 'exists');
}
