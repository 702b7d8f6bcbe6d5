import type { RawRow } from '../connection.js';
import type { SessionTable } from '../session-table.js';
import type { AskedHashes, Hashes } from './asked-hashes.js';
import type { FoundRow } from './dialect.js';
import { foundOf } from './rows.js';

const SECOND = 1000;

/** The values in the text of a row that hold no blank. */
const PLAIN_VALUES = 9;

/** In the place of a hash. */
const NONE = '-';

/**
 * What {@link addFound} and {@link sessionIn} read of a row. All but the data come as one text: of each column the application
 * makes a text out of the bytes that have arrived, which costs it more than taking one apart. The user is the last, as an id of
 * one may hold blanks, and is left out where there is none.
 */
export function foundColumns(c: SessionTable['columns']): string {
  const hex = (hash: string) => `encode(${hash}, 'hex')`;
  const seconds = (time: string) => `date_part('epoch', ${time})`;
  const times = [c.expiresAt, c.absoluteExpiresAt, c.touchedAt, 'clock_timestamp()'].map(seconds);
  const previous = `coalesce(CASE WHEN ${c.previousTokenUntil} > clock_timestamp() THEN ${hex(c.previousTokenHash)} END, '${NONE}')`;
  const values = [hex(c.tokenHash), c.id, c.idleTimeout, c.persistent, ...times, previous, c.userId];
  return `concat_ws(' ', ${values.join(', ')}), ${c.data}`;
}

/** A row may answer for two of the hashes that were asked for: the one that is its own and the one before. */
export function addFound(found: FoundRow[], asked: AskedHashes, row: RawRow): void {
  const values = valuesOf(row);
  const own = ownOf(asked, row, values);
  if (own) found.push(own);
  const previousHash = values[PLAIN_VALUES - 1];
  if (previousHash === NONE) return;
  const replaced = foundOf(asked, [null, previousHash!]);
  if (replaced) found.push(replaced);
}

/** The session of a row, unless it has expired. */
export function sessionIn(asked: Hashes, row: RawRow): FoundRow | undefined {
  return ownOf(asked, row, valuesOf(row));
}

function valuesOf([text]: RawRow): string[] {
  return text!.split(' ', PLAIN_VALUES);
}

function ownOf(asked: Hashes, [text, data]: RawRow, values: readonly string[]): FoundRow | undefined {
  const [tokenHash, id, idle, persistent, expires, ends, touched, now] = values;
  let userAt = PLAIN_VALUES;
  for (const value of values) userAt += value.length;
  const userId = userAt <= text!.length ? text!.slice(userAt) : null;
  const row = [id!, tokenHash!, data!, userId, idle!, persistent!, expires!, ends!, touched!, now!];
  const own = foundOf(asked, row, SECOND);
  if (!own) return undefined;
  const { found } = own;
  // The moment it ends at is part of it no longer. What is no number has not expired: foundOf calls it unreadable.
  const hasExpired = found.status === 'live' ? found.session.remaining <= 0 : Number(expires) <= Number(now);
  return hasExpired ? undefined : own;
}
