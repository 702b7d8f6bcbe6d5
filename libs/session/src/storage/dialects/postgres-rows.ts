import type { RawRow } from '../connection.js';
import type { SessionTable } from '../session-table.js';
import type { AskedHashes, Hashes } from './asked-hashes.js';
import type { FoundRow } from './dialect.js';
import { foundOf } from './rows.js';

const SECOND = 1000;

/**
 * What {@link addFound} and {@link sessionIn} read of a row. The short values come as one text: of each column the application makes
 * a text out of the bytes that have arrived, which costs it more than taking one apart.
 */
export function foundColumns(c: SessionTable['columns']): string {
  const seconds = (time: string) => `date_part('epoch', ${time})`;
  const times = [c.expiresAt, c.absoluteExpiresAt, c.touchedAt, 'clock_timestamp()'].map(seconds);
  return (
    `encode(${c.tokenHash}, 'hex'), ${c.data}, ${c.userId}, ` +
    `concat_ws(' ', ${c.id}, ${c.idleTimeout}, ${c.persistent}, ${times.join(', ')}), ` +
    `CASE WHEN ${c.previousTokenUntil} > clock_timestamp() THEN encode(${c.previousTokenHash}, 'hex') END`
  );
}

/** A row may answer for two of the hashes that were asked for: the one that is its own and the one before. */
export function addFound(found: FoundRow[], asked: AskedHashes, row: RawRow): void {
  const own = sessionIn(asked, row);
  if (own) found.push(own);
  const previousHash = row[4];
  if (previousHash == null) return;
  const replaced = foundOf(asked, [null, previousHash]);
  if (replaced) found.push(replaced);
}

/** The session of a row, unless it has expired. */
export function sessionIn(asked: Hashes, [tokenHash, data, userId, rest]: RawRow): FoundRow | undefined {
  const [id, idle, persistent, expires, ends, touched, now] = rest!.split(' ') as [string, ...string[]];
  const row = [id, tokenHash!, data!, userId!, idle!, persistent!, expires!, ends!, touched!, now!];
  const own = foundOf(asked, row, SECOND);
  if (!own) return undefined;
  const { found } = own;
  // The moment it ends at is part of it no longer. What is no number has not expired: foundOf calls it unreadable.
  const hasExpired = found.status === 'live' ? found.session.remaining <= 0 : Number(expires) <= Number(now);
  return hasExpired ? undefined : own;
}
