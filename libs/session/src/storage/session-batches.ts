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

  /** @returns when the session ends now; nothing where the database shares no such statements. */
  update(update: RowUpdate, deadline: number): Promise<Expiry> | undefined {
    return this.#updates?.add(update, deadline);
  }

  touch(touch: RowTouch, deadline: number): Promise<Expiry> | undefined {
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
      const asked = members.map((hashes) => distinctIn(wanted, hashes));
      const rows = await send(operations.find([...wanted.values()]), deadline);
      // By the objects that were asked for, which an operation answers with.
      const found = new Map<Buffer, Found>();
      for (const row of rows) found.set(row.tokenHash, row.found);
      return asked.map((hashes) => hashes.flatMap((hash) => found.get(hash) ?? []));
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

/** The hashes of one call, each once, and each as the object that stands for it in the batch. */
function distinctIn(wanted: Map<string, Buffer>, hashes: readonly Buffer[]): readonly Buffer[] {
  const distinct = hashes.map((hash) => {
    const key = keyOf(hash);
    const known = wanted.get(key);
    if (!known) wanted.set(key, hash);
    return known ?? hash;
  });
  return distinct.length < 2 ? distinct : [...new Set(distinct)];
}

/** A hash as a key of a map: any text that keeps its bytes apart. */
function keyOf(hash: Buffer): string {
  return hash.toString('latin1');
}
