import { createHash, randomBytes } from 'node:crypto';
import type { SessionEvent } from '../../core/events.js';
import type { Announcements, Hearer } from './announcements.js';

/** Milliseconds within which everything that was announced has to have been heard. */
const HEARD_WITHIN = 200;
/** Milliseconds between two questions whether the connection still works: while requests come, and while none do. */
const BUSY_PAUSE = 50;
const IDLE_PAUSE = 1_000;
/** Milliseconds for one answer on the connection. */
const ANSWER_WITHIN = 2_000;
/** Milliseconds before another attempt to connect; grows with every attempt. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** Milliseconds before another attempt where notifications do not come through. */
const DEAF_PAUSE = 60_000;
/** Milliseconds in which changes of data are gathered. */
const GATHERED_FOR = 25;
/** A notification holds less than 8000 bytes (https://www.postgresql.org/docs/current/sql-notify.html), and an id has 36. */
const IDS_PER_PAYLOAD = 200;

/** A connection of its own that listens on one channel. */
export interface Listener {
  /** @throws where the connection does not work any more. */
  run(sql: string, parameters?: readonly unknown[]): Promise<void>;
  /** Ends the connection, at the latest after a moment. */
  close(): Promise<void>;
}

export interface ListenerEvents {
  onNotification(payload: string): void;
  /** @param reason an SQLSTATE, an errno or `connection`. */
  onLost(reason: string): void;
}

export interface PostgresAnnouncementsParts {
  readonly channel: string;
  /** A new connection that listens already. */
  readonly listen: (channel: string, events: ListenerEvents) => Promise<Listener>;
  /** Notifies on any other connection. */
  readonly notify: (channel: string, payload: string, milliseconds: number) => Promise<void>;
  readonly emit: (event: SessionEvent) => void;
  /** Is told of a set-up in which nothing is heard. */
  readonly warn: () => void;
}

/** The channel of a session table. A channel's name has at most 63 bytes, and a table's may have more. */
export function channelOf(table: string): string {
  return `nestjs_typeorm_session_${createHash('sha256').update(table).digest('hex').slice(0, 16)}`;
}

/**
 * Announcements by LISTEN and NOTIFY. A payload holds public ids: one by itself from the statement that ended or replaced
 * a token, or several after the mark of a node that has changed their data.
 *
 * A connection that has died in silence, and a process that was busy with something else, hear nothing and do not know it.
 * So what is kept counts only as long as a question on the same connection was answered that was asked less than 200 ms ago:
 * the server sends what was announced before ahead of the answer.
 */
export class PostgresAnnouncements implements Announcements {
  readonly #parts: PostgresAnnouncementsParts;
  readonly #mark = randomBytes(6).toString('hex');
  readonly #gathered = new Set<string>();
  #hearer: Hearer | undefined;
  #listener: Listener | undefined;
  /** Counts connections: what an earlier one still says is no news. */
  #attempt = 0;
  #state: 'bypassed' | 'listening' | 'timed' = 'bypassed';
  #isReported = false;
  /** On the monotonic clock: what was announced before has been heard. */
  #heardUntil = Number.NEGATIVE_INFINITY;
  /** Requests have come since the last question. */
  #isAsked = false;
  #pause = FIRST_PAUSE;
  #next: NodeJS.Timeout | undefined;
  /** Asks at once, where no requests had come for a while. */
  #wake: (() => void) | undefined;
  #sending: NodeJS.Timeout | undefined;
  /** What a notification of our own has to say to be recognised. */
  #hello: { readonly payload: string; readonly onHeard: () => void } | undefined;
  #isClosed = false;

  constructor(parts: PostgresAnnouncementsParts) {
    this.#parts = parts;
  }

  start(hearer: Hearer): Promise<void> {
    this.#hearer = hearer;
    return this.#connect();
  }

  isHeard(now: number): boolean {
    if (this.#state === 'timed') return true;
    this.#isAsked = true;
    if (now - this.#heardUntil < HEARD_WITHIN) return true;
    this.#wake?.();
    return false;
  }

  announce(id: string): void {
    if (this.#state !== 'listening') return;
    this.#gathered.add(id);
    this.#sending ??= setTimeout(() => void this.#send(), GATHERED_FOR);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#attempt += 1;
    clearTimeout(this.#next);
    if (this.#gathered.size > 0) await this.#send();
    await this.#listener?.close();
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    try {
      const listener = await this.#parts.listen(this.#parts.channel, {
        onNotification: (payload) => this.#onNotification(payload),
        onLost: (reason) => this.#lose(attempt, reason),
      });
      if (attempt !== this.#attempt) return await listener.close();
      this.#listener = listener;
      if (await this.#hearsItself()) await this.#ask(attempt);
      else this.#goByTime(attempt);
    } catch (error) {
      this.#lose(attempt, reasonOf(error));
    }
  }

  /** From another connection: through a pooler a connection hears itself and nobody else. */
  async #hearsItself(): Promise<boolean> {
    const { channel, notify } = this.#parts;
    const payload = `hello ${randomBytes(6).toString('hex')}`;
    const heard = new Promise<true>((onHeard) => (this.#hello = { payload, onHeard: () => onHeard(true) }));
    await notify(channel, payload, ANSWER_WITHIN);
    return within(heard, ANSWER_WITHIN).catch(() => false);
  }

  async #ask(attempt: number): Promise<void> {
    const askedAt = performance.now();
    this.#isAsked = false;
    await within(this.#listener!.run('SELECT 1'), ANSWER_WITHIN);
    if (attempt !== this.#attempt) return;
    // What was kept before this connection listened may have been changed unheard.
    if (this.#state !== 'listening') this.#hearer!.clear();
    this.#become('listening');
    this.#heardUntil = askedAt;
    this.#pause = FIRST_PAUSE;
    const askAgain = () => this.#ask(attempt).catch((error: unknown) => this.#lose(attempt, reasonOf(error)));
    this.#later(askAgain, this.#isAsked ? BUSY_PAUSE : IDLE_PAUSE);
    if (!this.#isAsked) this.#wake = () => this.#later(askAgain, 0);
  }

  /** Of a connection that was given up already, the end is no news. */
  #lose(attempt: number, reason: string): void {
    if (attempt !== this.#attempt) return;
    this.#giveUp();
    // A pooler that passes nothing on may go away as well: time goes on.
    if (this.#state !== 'timed') this.#become('bypassed', reason);
    this.#hearer!.clear();
    this.#later(() => this.#connect(), this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #goByTime(attempt: number): void {
    if (attempt !== this.#attempt) return;
    this.#giveUp();
    if (this.#state !== 'timed') this.#parts.warn();
    this.#become('timed');
    this.#later(() => this.#connect(), DEAF_PAUSE);
  }

  #giveUp(): void {
    this.#attempt += 1;
    this.#heardUntil = Number.NEGATIVE_INFINITY;
    this.#gathered.clear();
    void this.#listener?.close();
    this.#listener = undefined;
  }

  #become(state: 'bypassed' | 'listening' | 'timed', reason?: string): void {
    if (this.#state === state && this.#isReported) return;
    this.#state = state;
    this.#isReported = true;
    this.#parts.emit({ type: 'cache', state, ...(reason !== undefined && { reason }) });
  }

  #later(work: () => Promise<void>, milliseconds: number): void {
    clearTimeout(this.#next);
    this.#wake = undefined;
    if (this.#isClosed) return;
    this.#next = setTimeout(() => void work(), milliseconds);
    this.#next.unref();
  }

  #onNotification(payload: string): void {
    if (payload === this.#hello?.payload) return this.#hello.onHeard();
    const at = payload.indexOf(':');
    // What this node has changed it evicted when that was committed.
    if (at >= 0 && payload.slice(0, at) === this.#mark) return;
    for (const id of payload.slice(at + 1).split(',')) this.#hearer!.evict(id);
  }

  async #send(): Promise<void> {
    clearTimeout(this.#sending);
    this.#sending = undefined;
    const ids = [...this.#gathered];
    this.#gathered.clear();
    const payloads: string[] = [];
    while (ids.length > 0) payloads.push(`${this.#mark}:${ids.splice(0, IDS_PER_PAYLOAD).join(',')}`);
    // Not in the transactions that made the changes: there it would make them wait for each other.
    const sql = 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload';
    // Where it fails the connection is lost, and the others go by time.
    await this.#listener?.run(sql, [this.#parts.channel, payloads]).catch(() => {});
  }
}

function reasonOf(error: unknown): string {
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  return [code, reason].find((text) => typeof text === 'string') ?? 'connection';
}

async function within<R>(work: Promise<R>, milliseconds: number): Promise<R> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('no answer'), { code: 'deadline' })), milliseconds);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
