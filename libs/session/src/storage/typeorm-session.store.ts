import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { SessionConfigError, SessionStoreError, type StoreFailure } from '../core/errors.js';
import type {
  Applied,
  AtomicOperation,
  AtomicOutcome,
  Delta,
  Found,
  Missed,
  NewSession,
  Replacement,
  SessionRef,
  SessionStore,
  SessionTimes,
} from '../core/store.js';
import {
  StatementError,
  type RawRow,
  type SessionStatements,
  type Statement,
  type StatementFailure,
  type StatementRunner,
} from './dialects/dialect.js';
import type { SessionTable } from './session-table.js';

/** Milliseconds before a statement that lost to another transaction is tried again; grows with every attempt. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 200;

const FAILURES: Record<StatementFailure, StoreFailure> = {
  unsent: 'unavailable',
  away: 'unavailable',
  lost: 'unknown',
  rolledBack: 'conflict',
  refused: 'refused',
};

export interface StoreLimits {
  /** Milliseconds for one call, all attempts and waits included. */
  readonly deadline: number;
  /** Bytes of the data, in the database's own spelling. */
  readonly maxBytes: number;
}

/** What a session's row looks like when a write has missed it. */
interface Look {
  readonly isLive: boolean;
  readonly isOurs: boolean;
  /** It carries the mark of the write in question. */
  readonly isMarked: boolean;
  readonly version: number;
  readonly value: string | undefined;
  readonly times: SessionTimes;
}

/** Sessions in a table of the application's database. */
export class TypeOrmSessionStore implements SessionStore {
  readonly #runner: StatementRunner;
  readonly #statements: SessionStatements;
  readonly #table: SessionTable;
  readonly #limits: StoreLimits;

  constructor(runner: StatementRunner, statements: SessionStatements, table: SessionTable, limits: StoreLimits) {
    this.#runner = runner;
    this.#statements = statements;
    this.#table = table;
    this.#limits = limits;
  }

  async check(): Promise<void> {
    try {
      await this.#read(this.#statements.check(), this.#deadline());
    } catch (error) {
      throw checkError(error, this.#table.label);
    }
  }

  async create(session: NewSession): Promise<SessionTimes> {
    const mark = randomUUID();
    const result = await this.#write(this.#statements.create(session, mark), session, mark, this.#deadline());
    return result.status === 'rows' ? timesOf(result.rows[0]!, 0) : result.look.times;
  }

  async find(tokenHashes: readonly Buffer[]): Promise<Found[]> {
    const rows = await this.#read(this.#statements.find(tokenHashes), this.#deadline());
    return rows.map(foundOf);
  }

  async read(ref: SessionRef, key: string) {
    const look = await this.#look(ref, this.#deadline(), key);
    const missed = missedOf(look);
    return missed ?? { status: 'read' as const, value: look!.value, version: look!.version };
  }

  async update(ref: SessionRef, delta: Delta, touchAfter: number): Promise<Applied | Missed> {
    const mark = randomUUID();
    return this.#writeOurs(ref, this.#statements.update(ref, delta, touchAfter, mark), mark);
  }

  async touch(ref: SessionRef, touchAfter: number): Promise<SessionTimes | undefined> {
    // Doing it twice does no harm, so it needs no mark, and not doing it is an answer.
    const rows = await this.#read(this.#statements.touch(ref, touchAfter), this.#deadline());
    return rows[0] && timesOf(rows[0], 0);
  }

  async replace(
    ref: SessionRef,
    replacement: Replacement,
    delta: Delta,
    touchAfter: number,
  ): Promise<Applied | Missed> {
    const mark = randomUUID();
    const statement = this.#statements.replace(ref, replacement, delta, touchAfter, mark);
    return this.#writeOurs(ref, statement, mark);
  }

  async apply(ref: SessionRef, operation: AtomicOperation): Promise<AtomicOutcome> {
    const mark = randomUUID();
    const statement = this.#statements.apply(ref, operation, this.#limits.maxBytes, mark);
    const deadline = this.#deadline();
    const result = await this.#write(statement, ref, mark, deadline);
    if (result.status === 'marked') {
      // The value that was taken went with the lost answer.
      if (operation.kind === 'take') throw new SessionStoreError('unknown', 'answer lost');
      const { value, times } = await this.#lookAgain(ref, operation.key, result.look, deadline);
      return { status: 'applied', value, times };
    }
    const row = result.rows[0];
    if (row) return { status: 'applied', value: row[0] ?? undefined, times: timesOf(row, 1) };
    const look = await this.#look(ref, deadline, operation.key);
    return missedOf(look) ?? { status: 'unfit', value: look!.value, version: look!.version };
  }

  async delete(ref: SessionRef): Promise<{ readonly status: 'deleted' } | Missed> {
    const statement = this.#statements.delete(ref);
    const deadline = this.#deadline();
    try {
      const rows = await this.#retried(statement, deadline);
      if (rows.length > 0) return { status: 'deleted' };
    } catch (error) {
      // Whether this call deleted it or another: a row that is absent is what was asked for.
      if (!(error instanceof StatementError) || error.failure !== 'lost') throw storeError(error);
      if (await this.#isAbsent(ref, deadline)) return { status: 'deleted' };
      throw storeError(error);
    }
    const look = await this.#look(ref, deadline);
    return { status: look && !look.isOurs ? 'replaced' : 'gone' };
  }

  async deleteExpired(limit: number): Promise<number> {
    const rows = await this.#read(this.#statements.deleteExpired(limit), this.#deadline());
    return rows.length;
  }

  async #writeOurs(ref: SessionRef, statement: Statement, mark: string): Promise<Applied | Missed> {
    const deadline = this.#deadline();
    const result = await this.#write(statement, ref, mark, deadline);
    if (result.status === 'marked') return { status: 'applied', times: result.look.times };
    const row = result.rows[0];
    if (row) return { status: 'applied', times: timesOf(row, 0) };
    const missed = missedOf(await this.#look(ref, deadline));
    if (missed) return missed;
    // The row is there, is live and is ours, so the statement ran against an older state of it.
    throw new SessionStoreError('conflict', 'row changed');
  }

  /**
   * Runs a write. Where its answer is lost, the mark on the row proves that it happened; the absence of the mark proves
   * nothing, as the statement may still be running, so it is never sent again.
   */
  async #write(
    statement: Statement,
    ref: SessionRef,
    mark: string,
    deadline: number,
  ): Promise<{ status: 'rows'; rows: RawRow[] } | { status: 'marked'; look: Look }> {
    try {
      return { status: 'rows', rows: await this.#retried(statement, deadline) };
    } catch (error) {
      if (!(error instanceof StatementError) || error.failure !== 'lost') throw storeError(error);
      const look = performance.now() < deadline ? await this.#lookForMark(ref, mark, deadline) : undefined;
      if (look?.isMarked) return { status: 'marked', look };
      throw storeError(error);
    }
  }

  async #lookForMark({ id, tokenHash }: SessionRef, mark: string, deadline: number): Promise<Look | undefined> {
    try {
      const rows = await this.#retried(this.#statements.look(id, tokenHash, undefined, mark), deadline);
      return rows[0] && lookOf(rows[0]);
    } catch {
      // Not seen is not known: the caller reports the write's own failure.
      return undefined;
    }
  }

  /** The value beside a mark that was seen: as long as the mark is there, it is the one this write left. */
  async #lookAgain(ref: SessionRef, key: string, marked: Look, deadline: number): Promise<Look> {
    const look = await this.#look(ref, deadline, key);
    if (look && look.version === marked.version) return look;
    throw new SessionStoreError('unknown', 'answer lost');
  }

  async #isAbsent(ref: SessionRef, deadline: number): Promise<boolean> {
    try {
      return (await this.#look(ref, deadline)) === undefined;
    } catch {
      return false;
    }
  }

  async #look({ id, tokenHash }: SessionRef, deadline: number, key?: string): Promise<Look | undefined> {
    const rows = await this.#read(this.#statements.look(id, tokenHash, key, undefined), deadline);
    return rows[0] && lookOf(rows[0]);
  }

  /** Runs what may be run twice: a stale connection after a restart of the database costs one more try. */
  async #read(statement: Statement, deadline: number): Promise<RawRow[]> {
    try {
      return await this.#retried(statement, deadline);
    } catch (error) {
      const isLost = error instanceof StatementError && error.failure === 'lost';
      if (!isLost || performance.now() >= deadline) throw readError(error);
      return this.#retried(statement, deadline).catch((again: unknown) => {
        throw readError(again);
      });
    }
  }

  /** Runs a statement again for as long as the database undid it in favour of another transaction. */
  async #retried(statement: Statement, deadline: number): Promise<RawRow[]> {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        return await this.#runner.run(statement, Math.max(1, deadline - performance.now()));
      } catch (error) {
        const wait = Math.random() * pause;
        const mayRetry = error instanceof StatementError && error.failure === 'rolledBack';
        if (!mayRetry || performance.now() + wait >= deadline) throw error;
        await delay(wait);
      }
    }
  }

  /** When a call that begins now has to be over, on the monotonic clock: one for all its statements. */
  #deadline(): number {
    return performance.now() + this.#limits.deadline;
  }
}

function missedOf(look: Look | undefined): Missed | undefined {
  if (!look?.isLive) return { status: 'gone' };
  return look.isOurs ? undefined : { status: 'replaced' };
}

function storeError(error: unknown): unknown {
  if (!(error instanceof StatementError)) return error;
  return new SessionStoreError(FAILURES[error.failure], error.reason);
}

/** A read that failed changed nothing, whatever became of it. */
function readError(error: unknown): unknown {
  if (error instanceof StatementError && error.failure === 'lost') {
    return new SessionStoreError('unavailable', error.reason);
  }
  return storeError(error);
}

function checkError(error: unknown, table: string): unknown {
  const reason = error instanceof SessionStoreError ? error.reason : undefined;
  switch (reason) {
    case '42P01':
      return new SessionConfigError(
        `The session table "${table}" does not exist. Run the migration that comes with nestjs-typeorm-session ` +
          '(CreateSessions1764000000000), or generate one for an entity of your own with `typeorm migration:generate`.',
      );
    case '42703':
      return new SessionConfigError(
        `The session table "${table}" lacks a column of the session entity. Run \`typeorm migration:generate\` and the migration it makes.`,
      );
    case '42501':
      return new SessionConfigError(
        `The database user may not read the session table "${table}". Grant it SELECT, INSERT, UPDATE and DELETE.`,
      );
    default:
      return error;
  }
}

function timesOf(row: RawRow, from: number): SessionTimes {
  return {
    createdAt: Number(row[from]),
    expiresAt: Number(row[from + 1]),
    absoluteRemaining: Number(row[from + 2]),
    sinceTouched: Number(row[from + 3]),
  };
}

function foundOf(row: RawRow): Found {
  const [id, tokenHash, data, userId, idleTimeout, persistent] = row;
  if (id == null) return { status: 'replaced' };
  return {
    status: 'live',
    session: {
      id,
      tokenHash: Buffer.from(tokenHash!, 'hex'),
      data: data!,
      userId: userId ?? undefined,
      idleTimeout: Number(idleTimeout),
      persistent: persistent === 't',
      ...timesOf(row, 6),
    },
  };
}

function lookOf(row: RawRow): Look {
  const [isLive, isOurs, isMarked, version, value] = row;
  return {
    isLive: isLive === 't',
    isOurs: isOurs === 't',
    isMarked: isMarked === 't',
    version: Number(version),
    value: value ?? undefined,
    times: timesOf(row, 5),
  };
}
