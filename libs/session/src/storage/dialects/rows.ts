import type { RawRow, Statement, Operation } from '../connection.js';
import type { Expiry, FoundRow, Look } from './dialect.js';

/**
 * Reads a row of `find`: id, token hash in hex, data, user id, idle timeout, persistent, expiry, left until then, left
 * of the absolute lifetime, passed since the last touch. All NULL but for the hash: the token was replaced.
 *
 * What another program wrote there may be anything, and the session then counts as unreadable.
 */
export function foundOf(row: RawRow): FoundRow {
  const [id, hexOfHash, data, userId, idleTimeout, persistent, expiresAt, remaining, absoluteRemaining, sinceTouched] =
    row;
  const tokenHash = Buffer.from(hexOfHash!, 'hex');
  if (id == null) return { tokenHash, found: { status: 'replaced' } };
  const session = {
    id,
    tokenHash,
    data: data ?? '',
    userId: userId ?? undefined,
    idleTimeout: Number(idleTimeout ?? NaN),
    persistent: isTrue(persistent),
    expiresAt: Number(expiresAt ?? NaN),
    remaining: Number(remaining ?? NaN),
    absoluteRemaining: Number(absoluteRemaining ?? NaN),
    sinceTouched: Number(sinceTouched ?? NaN),
  };
  const times = [session.expiresAt, session.remaining, session.absoluteRemaining, session.sinceTouched];
  const isReadable = session.data.startsWith('{') && [session.idleTimeout, ...times].every(Number.isFinite);
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

/** A statement that answers rows. */
export function rowsOf<R>(statement: Statement, read: (row: RawRow) => R): Operation<R[]> {
  return async (connection) => (await connection.run(statement)).rows.map(read);
}

/** A statement that answers one row or none. */
export function rowOf<R>(statement: Statement, read: (row: RawRow) => R): Operation<R | undefined> {
  return async (connection) => {
    const [row] = (await connection.run(statement)).rows;
    return row && read(row);
  };
}

/** A statement that answers how many rows it found. */
export function affectedBy(statement: Statement): Operation<number> {
  return async (connection) => (await connection.run(statement)).affected;
}

function isTrue(text: string | null | undefined): boolean {
  return text === 't' || text === '1';
}
