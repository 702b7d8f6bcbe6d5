import type { RawRow, Statement, Operation } from '../connection.js';
import type { Hashes } from './asked-hashes.js';
import type { Expiry, FoundRow, Look } from './dialect.js';

/**
 * Reads a row of `find`: id, token hash in lower hex, data, user id, idle timeout in milliseconds, persistent, and when the
 * session expires, expires at the latest, was touched last, and was read. All NULL but for the hash: the token was replaced.
 *
 * What another program wrote there may be anything, and the session then counts as unreadable.
 *
 * @param unit milliseconds in what the times count since the epoch.
 */
export function foundOf(asked: Hashes, row: RawRow, unit = 1): FoundRow | undefined {
  const tokenHash = asked.of(row[1]!);
  if (!tokenHash) return undefined;
  const id = row[0];
  if (id == null) return { tokenHash, found: { status: 'replaced' } };
  const expiresAt = numberOf(row[6]) * unit;
  const now = numberOf(row[9]) * unit;
  const session = {
    id,
    tokenHash,
    data: row[2] ?? '',
    userId: row[3] ?? undefined,
    idleTimeout: numberOf(row[4]),
    persistent: isTrue(row[5]),
    expiresAt,
    remaining: expiresAt - now,
    absoluteRemaining: numberOf(row[7]) * unit - now,
    sinceTouched: now - numberOf(row[8]) * unit,
  };
  // A sum is finite where all its parts are.
  const sum = session.idleTimeout + session.remaining + session.absoluteRemaining + session.sinceTouched;
  const isReadable = session.data.startsWith('{') && Number.isFinite(sum);
  return { tokenHash, found: isReadable ? { status: 'live', session } : { status: 'unreadable', id } };
}

/** Reads a row of `look`: is live, is ours, is marked, version, value, expiry. */
export function lookOf([isLive, isOurs, isMarked, version, value, expiresAt]: RawRow): Look {
  return {
    isLive: isTrue(isLive),
    isOurs: isTrue(isOurs),
    isMarked: isTrue(isMarked),
    version: Number(version),
    value: value ?? undefined,
    expiresAt: Number(expiresAt),
  };
}

/** A statement for many that answers, of those it found, the index from 0 and the expiry. */
export function expiriesOf(statement: Statement, count: number): Operation<readonly Expiry[]> {
  return async (connection) => {
    const expiries = Array.from<unknown, Expiry>({ length: count }, () => undefined);
    for (const [index, expiry] of (await connection.run(statement)).rows) expiries[Number(index)] = Number(expiry);
    return expiries;
  };
}

/** A statement that answers the first row's expiry, where it found one to write. */
export function expiryOf(statement: Statement): Operation<Expiry> {
  return async (connection) => {
    const [row] = (await connection.run(statement)).rows;
    return row && Number(row[0]);
  };
}

/** A statement that answers what is known of the hashes it asks for. */
export function foundRowsOf(statement: Statement, asked: Hashes): Operation<FoundRow[]> {
  return async (connection) => {
    const found: FoundRow[] = [];
    for (const row of (await connection.run(statement)).rows) {
      const known = foundOf(asked, row);
      if (known) found.push(known);
    }
    return found;
  };
}

/** A statement that answers one row or none. */
export function rowOf<R>(statement: Statement, read: (row: RawRow) => R): Operation<R | undefined> {
  return async (connection) => {
    const [row] = (await connection.run(statement)).rows;
    return row && read(row);
  };
}

/** A statement that answers one number. */
export function numberFrom(statement: Statement): Operation<number> {
  return async (connection) => Number((await connection.run(statement)).rows[0]?.[0]);
}

/** A statement that answers how many rows it found. */
export function affectedBy(statement: Statement): Operation<number> {
  return async (connection) => (await connection.run(statement)).affected;
}

function numberOf(text: string | null | undefined): number {
  return text == null ? NaN : Number(text);
}

function isTrue(text: string | null | undefined): boolean {
  return text === 't' || text === '1';
}
