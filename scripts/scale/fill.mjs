// Fills the table of a database that the library's migration has made, as fast as PostgreSQL can: rows first, indexes
// afterwards. They are then as dense as after a REINDEX.
import { sessionData } from '../bench/session-data.mjs';
import { tokenSql } from './tokens.mjs';

/**
 * @typedef {object} Filling
 * @property {number} live sessions that visitors have, numbered from 1
 * @property {number} [expired] sessions that are over, numbered behind them
 * @property {'together' | 'scattered'} [layout] of the expired ones: behind the others and in the order of their expiry, as
 *   visitors leave them who came once; or among the others, in any order. Default: together
 * @property {number} kilobytes of each session
 * @property {string} seed of the tokens
 */

const LAYOUTS = {
  together: { order: '', expiry: `interval '1 microsecond' * (i - $3)` },
  scattered: { order: 'ORDER BY random()', expiry: `interval '1 hour' * random()` },
};

/** @param {import('pg').Client} client @param {Filling} filling */
export async function fill(client, { live, expired = 0, layout = 'together', kilobytes, seed }) {
  const { order, expiry } = LAYOUTS[layout];
  const indexes = await dropIndexes(client);
  await client.query(
    `INSERT INTO sessions (id, token_hash, data, user_id, version, created_at, touched_at, expires_at,
       absolute_expires_at, idle_timeout, persistent, last_write)
     SELECT gen_random_uuid(), sha256(convert_to(${tokenSql('$1::text', 'i')}, 'UTF8')),
       $2::jsonb || jsonb_build_object('visitor', i::text, 'value', 'first-' || i),
       CASE WHEN i % 2 = 0 THEN 'user-' || i END, 1, now(), now(),
       CASE WHEN i > $3 THEN now() - interval '2 hours' + ${expiry} ELSE now() + interval '1 day' * (1 - random() / 20) END,
       now() + interval '14 days', 86400000, true, gen_random_uuid()
     FROM (SELECT i FROM generate_series(1::bigint, $3::bigint + $4::bigint) AS i ${order}) AS numbers`,
    [seed, JSON.stringify(sessionData('0', kilobytes)), live, expired],
  );
  for (const definition of indexes) await client.query(definition);
  // With hint bits and visibility map, as a table has them that has been in use for a while.
  await client.query('VACUUM (ANALYZE) sessions');
  await client.query('CHECKPOINT');
}

/** @returns {Promise<string[]>} what makes them again, as the migration made them */
async function dropIndexes(client) {
  const { rows } = await client.query(
    `SELECT indexrelid::regclass AS name, conname AS key, coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(indexrelid)) AS definition
     FROM pg_index LEFT JOIN pg_constraint AS c ON conindid = indexrelid WHERE indrelid = 'sessions'::regclass`,
  );
  for (const { name, key } of rows) {
    await client.query(key ? `ALTER TABLE sessions DROP CONSTRAINT "${key}"` : `DROP INDEX ${name}`);
  }
  return rows.map(({ key, definition }) =>
    key ? `ALTER TABLE sessions ADD CONSTRAINT "${key}" ${definition}` : definition,
  );
}

/** @returns {Promise<{ tableMegabytes: number, indexMegabytes: number }>} */
export async function sizesOf(client) {
  const { rows } = await client.query(
    `SELECT pg_table_size('sessions') / 1e6 AS "tableMegabytes", pg_indexes_size('sessions') / 1e6 AS "indexMegabytes"`,
  );
  return Object.fromEntries(
    Object.entries(rows[0]).map(([name, value]) => [name, Math.round(Number(value) * 10) / 10]),
  );
}
