import type { Delta, Found, SessionRef } from '../core/store.js';
import { BatchQueue, type Batching } from './batch-queue.js';
import type { Operation } from './connection.js';
import type { Expiry, FoundRow, RowTouch, RowUpdate, SessionOperations } from './dialects/dialect.js';

/** Calls in a batch at most, and bytes of the data that they write. */
const MAX_MEMBERS = 64;
const MAX_BYTES = 1_000_000;

/** Loads under way at once: more than one, so that a connection that has died in silence does not hold up the others. */
const LOADS_AT_ONCE = 2;
const WRITES_AT_ONCE = 2;

/** Sends an operation to the database, once. */
export type Send = <R>(operation: Operation<R>, deadline: number) => Promise<R>;

/**
 * Loads, updates and touches that share statements. Each answers `undefined` where a statement of its own has to decide;
 * the failures are those of the connection.
 */
export class SessionBatches {
  readonly #loads: BatchQueue<readonly Buffer[], Found[]>;
  readonly #updates: BatchQueue<RowUpdate, number> | undefined;
  readonly #touches: BatchQueue<RowTouch, number> | undefined;

  constructor(operations: SessionOperations, send: Send) {
    const { updateMany, touchMany } = operations;
    this.#loads = new BatchQueue(loads(operations, send));
    this.#updates = updateMany && new BatchQueue(writes(updateMany, send, { mayRepeat: false, bytesOf }));
    this.#touches = touchMany && new BatchQueue(writes(touchMany, send, { mayRepeat: true, bytesOf: () => 0 }));
  }

  find(tokenHashes: readonly Buffer[], deadline: number): Promise<Found[] | undefined> {
    return this.#loads.add(tokenHashes, deadline);
  }

  /** @returns when the session ends now. */
  async update(update: RowUpdate, deadline: number): Promise<number | undefined> {
    return this.#updates?.add(update, deadline);
  }

  async touch(touch: RowTouch, deadline: number): Promise<number | undefined> {
    return this.#touches?.add(touch, deadline);
  }
}

function loads(operations: SessionOperations, send: Send): Batching<readonly Buffer[], Found[]> {
  return {
    atOnce: LOADS_AT_ONCE,
    mayRepeat: true,
    leavesLone: false,
    shareOf: (hashes) => hashes.length / MAX_MEMBERS,
    async send(members, deadline) {
      const wanted = new Map<string, Buffer>();
      const keys = members.map((hashes) => hashes.map((hash) => keyInto(wanted, hash)));
      const rows = await send(operations.find([...wanted.values()]), deadline);
      const found = new Map<string, Found>();
      for (const row of rows) found.set(keyOf(row.tokenHash), row.found);
      return keys.map((ofMember) => foundFor(ofMember, found));
    },
  };
}

/** Updates or touches. Each session is in a batch once: of two rows for one target an UPDATE takes either. */
function writes<M extends { readonly ref: SessionRef }>(
  operationOf: (members: readonly M[]) => Operation<readonly Expiry[]>,
  send: Send,
  { mayRepeat, bytesOf }: { mayRepeat: boolean; bytesOf: (member: M) => number },
): Batching<M, number> {
  return {
    atOnce: WRITES_AT_ONCE,
    mayRepeat,
    leavesLone: true,
    shareOf: (member) => Math.max(1 / MAX_MEMBERS, bytesOf(member) / MAX_BYTES),
    keyOf: ({ ref }) => ref.id,
    send: (members, deadline) => send(operationOf(members), deadline),
  };
}

function bytesOf({ delta }: { readonly delta: Delta }): number {
  let bytes = 0;
  for (const text of [...Object.entries(delta.set).flat(), ...delta.unset]) bytes += Buffer.byteLength(text);
  return bytes;
}

/** Of a row, what the port tells. */
export function foundIn(rows: readonly FoundRow[]): Found[] {
  return rows.map(({ found }) => found);
}

function keyInto(wanted: Map<string, Buffer>, hash: Buffer): string {
  const key = keyOf(hash);
  wanted.set(key, hash);
  return key;
}

function foundFor(keys: readonly string[], found: ReadonlyMap<string, Found>): Found[] {
  const distinct = keys.length === 1 ? keys : [...new Set(keys)];
  return distinct.flatMap((key) => found.get(key) ?? []);
}

/** A hash as a key of a map: any text that keeps its bytes apart. */
function keyOf(hash: Buffer): string {
  return hash.toString('latin1');
}
