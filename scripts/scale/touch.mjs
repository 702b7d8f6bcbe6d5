// What touches and writes cost, by the index on expires_at and by the fill-factor of the table. The statements are the
// library's own, of many callers at once, who share them.
import { createHash } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { createStore } from '../../libs/session/dist/esm/storage/create-store.js';
import { CreateSessions1764000000000, SessionEntity } from '../../libs/session/dist/esm/index.js';
import { treeMicros } from '../bench/cpu.mjs';
import { medians } from '../bench/measure.mjs';
import { randomFrom } from '../bench/generator/random.mjs';
import { fill, sizesOf } from './fill.mjs';
import { rounded } from './round.mjs';
import { tokenOf } from './tokens.mjs';

const FILL_FACTORS = [100, 90, 85, 70];
const LIMITS = { deadline: 60_000, maxBytes: 65_536 };
/** Who waits for an answer before it asks again. */
const CALLERS = 64;
const LONG = 365 * 24 * 60 * 60 * 1000;

/** @type {Record<string, (store: any, ref: object, value: string) => Promise<unknown>>} */
const OPERATIONS = {
  // Moves expires_at.
  touch: (store, ref) => store.touch(ref, 0),
  // A write while no touch is due, as nearly all are: it leaves the indexed columns alone.
  write: (store, ref, value) => store.update(ref, { set: { value: JSON.stringify(value) }, unset: [] }, LONG),
};

/** @returns {Promise<object[]>} a row for each operation and table */
export async function measureTouches({ database, seed, rows, updates, rounds }) {
  const tables = [];
  for (const expiryIndex of [true, false]) {
    for (const fillFactor of FILL_FACTORS)
      tables.push(await prepare({ database, seed, rows, expiryIndex, fillFactor }));
  }
  const results = [];
  for (const operation of Object.keys(OPERATIONS)) {
    const measured = new Map(tables.map((table) => [table, []]));
    for (let round = 0; round < rounds; round++) {
      for (const table of tables) measured.get(table).push(await measure(table, operation, { database, updates }));
    }
    for (const [table, figures] of measured) {
      const { expiryIndex, fillFactor } = table;
      const row = {
        operation,
        expiryIndex,
        fillFactor,
        rows,
        updates,
        ...rounded(medians(figures)),
        ...(await sizesOf(table.client)),
      };
      console.log(
        `${operation} ${table.name}: ${Math.round(row.perSecond)}/s, HOT ${Math.round(row.hotShare * 100)} %`,
      );
      results.push({ ...row, rounds: figures.map(rounded) });
    }
  }
  for (const { client, dataSource } of tables) {
    await dataSource.destroy();
    await client.end();
  }
  return results;
}

async function prepare({ database, seed, rows, expiryIndex, fillFactor }) {
  const name = `touch_${expiryIndex ? 'index' : 'plain'}_${fillFactor}`;
  const url = await database.create(name);
  const dataSource = await new DataSource({
    type: 'postgres',
    url,
    entities: [SessionEntity],
    migrations: [CreateSessions1764000000000],
    migrationsRun: true,
    poolSize: 10,
  }).initialize();
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  // Autovacuum would come in the middle of some and not of others: here everybody is vacuumed before each slice.
  await client.query(`ALTER TABLE sessions SET (fillfactor = ${fillFactor}, autovacuum_enabled = off)`);
  await fill(client, { live: rows, kilobytes: 1, seed });
  if (!expiryIndex) {
    const { rows: found } = await client.query(
      `SELECT indexrelid::regclass AS name FROM pg_index WHERE indrelid = 'sessions'::regclass AND pg_get_indexdef(indexrelid) LIKE '%(expires_at)'`,
    );
    await client.query(`DROP INDEX ${found[0].name}`);
  }
  const ids = await client.query('SELECT id, encode(token_hash, $1) AS hash FROM sessions', ['hex']);
  const byHash = new Map(ids.rows.map(({ id, hash }) => [hash, id]));
  const refs = Array.from({ length: rows }, (_, index) => {
    const tokenHash = createHash('sha256')
      .update(tokenOf(seed, index + 1))
      .digest();
    return { id: byHash.get(tokenHash.toString('hex')), tokenHash };
  });
  const store = createStore(dataSource, SessionEntity, LIMITS, () => {});
  return { name, expiryIndex, fillFactor, client, dataSource, store, refs, random: randomFrom(`${seed} ${name}`) };
}

async function measure(table, operation, { database, updates }) {
  const { client } = table;
  await client.query('VACUUM sessions');
  await database.settle();
  // Each page is written to the WAL whole at its first change: that is over before the figures begin.
  await turn(table, operation, updates);
  await client.query('VACUUM sessions');
  const [before, micros, begin] = [await counters(client), treeMicros(database.pid), performance.now()];
  await turn(table, operation, updates);
  const seconds = (performance.now() - begin) / 1000;
  const spent = treeMicros(database.pid) - micros;
  const after = await counters(client);
  const [written, hot, transactions, wal] = ['updates', 'hot', 'transactions', 'wal'].map(
    (key) => after[key] - before[key],
  );
  return {
    perSecond: updates / seconds,
    hotShare: hot / written,
    statementsPerCall: transactions / updates,
    walBytes: wal / updates,
    databaseMicros: spent / updates,
  };
}

/** So many calls. */
async function turn({ store, refs, random }, operation, updates) {
  let left = updates;
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (left-- > 0) {
        const result = await OPERATIONS[operation](store, refs[random(refs.length)], `value-${left}`);
        if (operation === 'write' && result.status !== 'applied') throw new Error(`a write was ${result.status}`);
      }
    }),
  );
}

async function counters(client) {
  // Server processes hand their counts in once a second.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  await client.query('SELECT pg_stat_clear_snapshot()');
  const { rows } = await client.query(
    `SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, xact_commit AS transactions,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS wal
     FROM pg_stat_user_tables, pg_stat_database WHERE relname = 'sessions' AND datname = current_database()`,
  );
  return Object.fromEntries(Object.entries(rows[0]).map(([name, value]) => [name, Number(value)]));
}
