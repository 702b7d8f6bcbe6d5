import type { Found, JsonByKey, SessionRef } from '../core/store.js';
import { BatchQueue, type Batching } from './batch-queue.js';
import type { Operation } from './connection.js';
import { AskedHashes } from './dialects/asked-hashes.js';
import type { Expiry, FoundRow, RowCreation, RowTouch, RowUpdate, SessionOperations } from './dialects/dialect.js';

/** Calls in a batch at most, and bytes of the data that they write. */
const MAX_MEMBERS = 64;
const MAX_BYTES = 1_000_000;

/** Statements under way at once: more than one, so that a connection that has died in silence does not hold up the others. */
const LOADS_AT_ONCE = 2;
const WRITES_AT_ONCE = 2;

/**
 * Where there are more loads than this, half of them travel together: so the application works on the answers to one statement
 * while the database makes those to the other. See docs/decisions/018-how-large-a-batch-is.md.
 */
const FEW_LOADS = 32;

/** Milliseconds of a commit that is no slow one. Who comes meanwhile shares the next: a second one beside it has to wait for the same disk. */
const COMMIT = 5;

/** Sends an operation to the database, once. */
export type Send = <R>(operation: Operation<R>, deadline: number) => Promise<R>;

/**
 * Loads, INSERTs, updates and touches that share statements. Each answers `undefined` where a statement of its own has to decide;
 * the failures are those of the connection.
 */
export class SessionBatches {
  readonly #loads: BatchQueue<readonly Buffer[], Found[]>;
  readonly #creations: BatchQueue<RowCreation, number> | undefined;
  readonly #updates: BatchQueue<RowUpdate, number> | undefined;
  readonly #touches: BatchQueue<RowTouch, number> | undefined;

  constructor(operations: SessionOperations, send: Send) {
    const { createMany, updateMany, touchMany } = operations;
    this.#loads = new BatchQueue(loads(operations, send));
    this.#creations = createMany && new BatchQueue(writes(createMany, send, CREATIONS));
    this.#updates = updateMany && new BatchQueue(writes(updateMany, send, UPDATES));
    this.#touches = touchMany && new BatchQueue(writes(touchMany, send, TOUCHES));
  }

  find(tokenHashes: readonly Buffer[], deadline: number): Promise<Found[] | undefined> {
    return this.#loads.add(tokenHashes, deadline);
  }

  /** @returns when the session ends; nothing where the database shares no such statements. */
  create(creation: RowCreation, deadline: number): Promise<Expiry> | undefined {
    return this.#creations?.add(creation, deadline);
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
    headStart: 0,
    mayRepeat: true,
    leavesLone: false,
    shareOf: (hashes) => hashes.length / MAX_MEMBERS,
    mostOf: (calls) => Math.max(FEW_LOADS, Math.ceil(calls / 2)),
    async send(members, deadline) {
      const asked = new AskedHashes();
      const wanted = members.map((hashes) => distinctOf(asked, hashes));
      const rows = await send(operations.find(asked), deadline);
      // By the objects that were asked for, which an operation answers with.
      const found = new Map<Buffer, Found>();
      for (const row of rows) found.set(row.tokenHash, row.found);
      return wanted.map((hashes) => foundOf(found, hashes));
    },
  };
}

/** What one kind of writes does otherwise than another. */
interface Writing<M> extends Required<Pick<Batching<M, number>, 'mayRepeat' | 'keyOf'>> {
  bytesOf(member: M): number;
}

/** A token that is there already is refused, and its neighbours with it. */
const CREATIONS: Writing<RowCreation> = {
  mayRepeat: false,
  keyOf: ({ session }) => session.tokenHash.toString('latin1'),
  bytesOf: ({ session }) => bytesOf(session.data),
};

const UPDATES: Writing<RowUpdate> = {
  mayRepeat: false,
  keyOf: idOf,
  bytesOf: ({ delta }) => delta.unset.reduce((bytes, key) => bytes + Buffer.byteLength(key), bytesOf(delta.set)),
};

const TOUCHES: Writing<RowTouch> = { mayRepeat: true, keyOf: idOf, bytesOf: () => 0 };

function writes<M>(
  operationOf: (members: readonly M[]) => Operation<readonly Expiry[]>,
  send: Send,
  { mayRepeat, keyOf, bytesOf }: Writing<M>,
): Batching<M, number> {
  return {
    atOnce: WRITES_AT_ONCE,
    headStart: COMMIT,
    mayRepeat,
    leavesLone: true,
    shareOf: (member) => Math.max(1 / MAX_MEMBERS, bytesOf(member) / MAX_BYTES),
    keyOf,
    send: (members, deadline) => send(operationOf(members), deadline),
  };
}

/** Each session is in a batch once: of two rows for one target an UPDATE takes either. */
function idOf({ ref }: { readonly ref: SessionRef }): string {
  return ref.id;
}

function bytesOf(values: JsonByKey): number {
  let bytes = 0;
  for (const key of Object.keys(values)) bytes += Buffer.byteLength(key) + Buffer.byteLength(values[key]!);
  return bytes;
}

/** Of a row, what the port tells. */
export function foundIn(rows: readonly FoundRow[]): Found[] {
  return rows.map(({ found }) => found);
}

/** The hashes of one call, each once, and each as the object that stands for it in the batch. */
function distinctOf(asked: AskedHashes, hashes: readonly Buffer[]): readonly Buffer[] {
  const distinct = hashes.map((hash) => asked.add(hash));
  return distinct.length < 2 ? distinct : [...new Set(distinct)];
}

function foundOf(found: ReadonlyMap<Buffer, Found>, hashes: readonly Buffer[]): Found[] {
  const known: Found[] = [];
  for (const hash of hashes) {
    const one = found.get(hash);
    if (one) known.push(one);
  }
  return known;
}
