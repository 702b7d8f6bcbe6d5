import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { SessionConfigError, SessionStoreError } from '../core/errors.js';
import type {
  Applied,
  AtomicOperation,
  AtomicOutcome,
  Delta,
  Found,
  JoinedStore,
  Missed,
  NewSession,
  ReadValue,
  Replacement,
  SessionRef,
  SessionStore,
  StoreHealth,
} from '../core/store.js';
import { StatementError, type Operation, type Runner } from './connection.js';
import type {
  DialectConnection,
  Expiry,
  IdleLifetime,
  Look,
  SessionDialect,
  SessionOperations,
} from './dialects/dialect.js';
import { AskedHashes } from './dialects/asked-hashes.js';
import { JoinedRunner } from './joined-runner.js';
import { selfCheck } from './self-check.js';
import { foundIn, SessionBatches } from './session-batches.js';
import type { SessionTable } from './session-table.js';
import { readError, storeError } from './store-errors.js';
import { transactionOf, type TransactionEnds } from './transaction-ends.js';

/** Milliseconds before a statement that lost to another transaction is tried again; grows with every attempt. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 200;

/** Milliseconds for the check at the start, when much else begins too. */
const CHECK_DEADLINE = 10_000;

export interface StoreLimits {
  /** Milliseconds for one call, all attempts and waits included. */
  readonly deadline: number;
  /** Bytes of the data, in the database's own spelling. */
  readonly maxBytes: number;
}

/** What the store of a data source works with. */
export interface StoreParts {
  readonly dataSource: DataSource;
  readonly dialect: SessionDialect;
  readonly connection: DialectConnection;
  readonly table: SessionTable;
  readonly transactionEnds: TransactionEnds;
  /** Other nodes are told of tokens that end. */
  readonly announces: boolean;
}

/** Sessions in a table of the application's database. */
export class TypeOrmSessionStore implements SessionStore {
  readonly #parts: StoreParts;
  readonly #limits: StoreLimits;
  readonly #operations: SessionOperations;
  readonly #runner: Runner;
  /** Not in a transaction of the application: what others ask for has no place in it. */
  readonly #batches: SessionBatches | undefined;

  /** @param runner where the statements go, if not to connections of their own. */
  constructor(parts: StoreParts, limits: StoreLimits, runner: Runner = parts.connection.runner) {
    this.#parts = parts;
    this.#limits = limits;
    this.#operations = parts.dialect.operations(parts.table, parts.announces);
    this.#runner = runner;
    if (runner !== parts.connection.runner) return;
    this.#batches = new SessionBatches(this.#operations, (operation, deadline) => this.#once(operation, deadline));
  }

  async check(): Promise<void> {
    const { dialect, table, connection: way } = this.#parts;
    const check: Operation<void> = async (connection) => {
      await dialect.checkServer?.(connection, table);
      await way.findFunctions?.(connection, table);
      await selfCheck(this.#operations, connection);
    };
    try {
      await this.#retried(check, performance.now() + CHECK_DEADLINE);
    } catch (error) {
      throw checkError(error, dialect, table.label);
    }
  }

  async health(): Promise<StoreHealth> {
    const examination: Operation<string | undefined> = async (connection) => {
      await this.#operations.find(new AskedHashes([randomBytes(32)]))(connection);
      return this.#parts.dialect.readOnlyReason(connection, this.#parts.table);
    };
    try {
      const reason = await this.#repeated(examination, this.#deadline());
      return reason === undefined ? { status: 'up' } : { status: 'down', reason };
    } catch (error) {
      if (!(error instanceof StatementError)) throw error;
      return { status: 'down', reason: error.reason };
    }
  }

  join(manager: object): JoinedStore {
    const { connection, transactionEnds } = this.#parts;
    const queryRunner = transactionOf(manager, this.#parts.dataSource);
    const runner = new JoinedRunner(connection.join(queryRunner));
    return {
      store: new TypeOrmSessionStore(this.#parts, this.#limits, runner),
      ended: transactionEnds.of(queryRunner),
    };
  }

  async close(): Promise<void> {
    await this.#runner.close?.();
  }

  async create(session: NewSession): Promise<Applied> {
    const mark = randomUUID();
    const deadline = this.#deadline();
    const shared = this.#batches?.create({ session, mark }, deadline);
    // Made when it is needed, as most that had company need none.
    const alone: Operation<Expiry> = (connection) => this.#operations.create(session, mark)(connection);
    const expiresAt = await this.#expiryAfter(alone, session, mark, deadline, shared);
    if (expiresAt === undefined) throw new SessionStoreError('refused', 'not inserted');
    return { status: 'applied', expiresAt };
  }

  async find(tokenHashes: readonly Buffer[]): Promise<Found[]> {
    const deadline = this.#deadline();
    try {
      const found = await this.#batches?.find(tokenHashes, deadline);
      return found ?? foundIn(await this.#repeated(this.#operations.find(new AskedHashes(tokenHashes)), deadline));
    } catch (error) {
      throw readError(error);
    }
  }

  async read(ref: SessionRef, key: string, until?: number): Promise<ReadValue | Missed> {
    const look = await this.#look(ref, this.#deadline(until), key);
    return missedOf(look) ?? { status: 'read', value: look!.value, version: look!.version };
  }

  update(ref: SessionRef, delta: Delta, touchAfter: number): Promise<Applied | Missed> {
    const mark = randomUUID();
    const deadline = this.#deadline();
    // Another lifetime is rare, and no part of the statement for many.
    const shared = delta.lifetime ? undefined : this.#batches?.update({ ref, delta, touchAfter, mark }, deadline);
    // Made when it is needed, as most that had company need none.
    const alone: Operation<Expiry> = (connection) => this.#operations.update(ref, delta, touchAfter, mark)(connection);
    return this.#writeOurs(ref, alone, mark, deadline, shared);
  }

  async touch(ref: SessionRef, touchAfter: number): Promise<Applied | undefined> {
    // Doing it twice does no harm, so it needs no mark, and not doing it is an answer.
    const deadline = this.#deadline();
    try {
      const shared = await this.#batches?.touch({ ref, touchAfter }, deadline);
      const expiresAt = shared ?? (await this.#repeated(this.#operations.touch(ref, touchAfter), deadline));
      return expiresAt === undefined ? undefined : { status: 'applied', expiresAt };
    } catch (error) {
      throw readError(error);
    }
  }

  async replace(
    ref: SessionRef,
    replacement: Replacement,
    delta: Delta,
    touchAfter: number,
  ): Promise<Applied | Missed> {
    const mark = randomUUID();
    const operation = this.#operations.replace(ref, replacement, delta, touchAfter, mark);
    return this.#writeOurs(ref, operation, mark, this.#deadline());
  }

  async apply(ref: SessionRef, operation: AtomicOperation, until?: number): Promise<AtomicOutcome> {
    const mark = randomUUID();
    const deadline = this.#deadline(until);
    const work = this.#operations.apply(ref, operation, this.#limits.maxBytes, mark);
    const result = await this.#write(work, ref, mark, deadline);
    if (result.status === 'marked') {
      // The value that was taken went with the lost answer.
      if (operation.kind === 'take') throw new SessionStoreError('unknown', 'answer lost');
      const { value } = await this.#lookAgain(ref, operation.key, result.look, deadline);
      return { status: 'applied', value };
    }
    if (result.answer) return { status: 'applied', value: result.answer.value };
    const look = await this.#look(ref, deadline, operation.key);
    return missedOf(look) ?? { status: 'unfit', value: look!.value, version: look!.version };
  }

  /**
   * Merges a delta and gives the session another idle timeout, which counts from now and may end it earlier than the one
   * before. The absolute expiry stays.
   */
  async retime(ref: SessionRef, delta: Delta, lifetime: IdleLifetime): Promise<Applied | Missed> {
    const mark = randomUUID();
    return this.#writeOurs(ref, this.#operations.retime(ref, delta, lifetime, mark), mark, this.#deadline());
  }

  async delete(ref: SessionRef): Promise<{ readonly status: 'deleted' } | Missed> {
    const deadline = this.#deadline();
    try {
      if (await this.#retried(this.#operations.delete(ref), deadline)) return { status: 'deleted' };
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
    return this.#read(this.#operations.deleteExpired(limit), this.#deadline());
  }

  /** At most so many sessions that are live or unreadable, in no order. */
  async list(limit: number): Promise<Found[]> {
    return foundIn(await this.#read(this.#operations.list(limit), this.#deadline()));
  }

  /** How many sessions are live. */
  async count(): Promise<number> {
    return this.#read(this.#operations.count(), this.#deadline());
  }

  /** Deletes at most `limit` sessions, live or not. Returns how many. */
  async deleteAny(limit: number): Promise<number> {
    return this.#read(this.#operations.deleteAny(limit), this.#deadline());
  }

  async #writeOurs(
    ref: SessionRef,
    operation: Operation<Expiry>,
    mark: string,
    deadline: number,
    shared?: Promise<Expiry>,
  ): Promise<Applied | Missed> {
    const expiresAt = await this.#expiryAfter(operation, ref, mark, deadline, shared);
    if (expiresAt !== undefined) return { status: 'applied', expiresAt };
    const missed = missedOf(await this.#look(ref, deadline));
    if (missed) return missed;
    // The row is there, is live and is ours, so the statement ran against an older state of it.
    throw new SessionStoreError('conflict', 'row changed');
  }

  /** @param shared the answer of a statement that was sent before and may have decided it. */
  async #expiryAfter(
    operation: Operation<Expiry>,
    ref: SessionRef,
    mark: string,
    deadline: number,
    shared?: Promise<Expiry>,
  ): Promise<Expiry> {
    try {
      return (shared && (await shared)) ?? (await this.#retried(operation, deadline));
    } catch (error) {
      return (await this.#markLeftBy(error, ref, mark, deadline)).expiresAt;
    }
  }

  async #write<R>(
    operation: Operation<R>,
    ref: SessionRef,
    mark: string,
    deadline: number,
  ): Promise<{ status: 'done'; answer: R } | { status: 'marked'; look: Look }> {
    try {
      return { status: 'done', answer: await this.#retried(operation, deadline) };
    } catch (error) {
      return { status: 'marked', look: await this.#markLeftBy(error, ref, mark, deadline) };
    }
  }

  /**
   * After a write that failed. Where its answer is lost, the mark on the row proves that it happened; the absence of the mark
   * proves nothing, as the statement may still be running, so it is never sent again.
   *
   * @throws the failure, where the mark is not seen
   */
  async #markLeftBy(error: unknown, ref: SessionRef, mark: string, deadline: number): Promise<Look> {
    if (!(error instanceof StatementError) || error.failure !== 'lost') throw storeError(error);
    const look = performance.now() < deadline ? await this.#lookForMark(ref, mark, deadline) : undefined;
    if (look?.isMarked) return look;
    throw storeError(error);
  }

  async #lookForMark({ id, tokenHash }: SessionRef, mark: string, deadline: number): Promise<Look | undefined> {
    try {
      return await this.#retried(this.#operations.look(id, tokenHash, undefined, mark), deadline);
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
    return this.#read(this.#operations.look(id, tokenHash, key, undefined), deadline);
  }

  async #read<R>(operation: Operation<R>, deadline: number): Promise<R> {
    try {
      return await this.#repeated(operation, deadline);
    } catch (error) {
      throw readError(error);
    }
  }

  /** Runs what may be run twice: a stale connection after a restart of the database costs one more try. */
  async #repeated<R>(operation: Operation<R>, deadline: number): Promise<R> {
    try {
      return await this.#retried(operation, deadline);
    } catch (error) {
      const isLost = error instanceof StatementError && error.failure === 'lost';
      if (!isLost || performance.now() >= deadline) throw error;
      return this.#retried(operation, deadline);
    }
  }

  /** Runs an operation again for as long as the database undid it in favour of another transaction. */
  async #retried<R>(operation: Operation<R>, deadline: number): Promise<R> {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        return await this.#once(operation, deadline);
      } catch (error) {
        const wait = Math.random() * pause;
        const isRolledBack = error instanceof StatementError && error.failure === 'rolledBack';
        const mayRetry = isRolledBack && this.#runner.mayRepeat;
        if (!mayRetry || performance.now() + wait >= deadline) throw error;
        await delay(wait);
      }
    }
  }

  #once<R>(operation: Operation<R>, deadline: number): Promise<R> {
    return this.#runner.run(operation, Math.max(1, deadline - performance.now()));
  }

  /** When a call that begins now has to be over, on the monotonic clock: one for all its statements. */
  #deadline(until = Infinity): number {
    return Math.min(until, performance.now() + this.#limits.deadline);
  }
}

function missedOf(look: Look | undefined): Missed | undefined {
  if (!look?.isLive) return { status: 'gone' };
  return look.isOurs ? undefined : { status: 'replaced' };
}

function checkError(error: unknown, dialect: SessionDialect, table: string): unknown {
  if (!(error instanceof StatementError)) return error;
  switch (dialect.problemOf(error.reason)) {
    case 'no-table':
      return new SessionConfigError(
        `The session table "${table}" does not exist. Run the migration that comes with nestjs-typeorm-session ` +
          '(CreateSessions1764000000000), or generate one for an entity of your own with `typeorm migration:generate`.',
      );
    case 'no-column':
      return new SessionConfigError(
        `The session table "${table}" lacks a column of the session entity. Run \`typeorm migration:generate\` and the migration it makes.`,
      );
    case 'no-permission':
      return new SessionConfigError(
        `The database user may not read and write the session table "${table}". Grant it SELECT, INSERT, UPDATE and DELETE.`,
      );
    case undefined:
      return new SessionConfigError(
        `The check of the session table "${table}" failed (${error.reason}): the database ` +
          (error.failure === 'refused'
            ? 'refuses what sessions do with the table. Compare the table with the one that the migration makes.'
            : 'cannot be reached or written to. Start the application when it can be.'),
      );
  }
}
