// What databases that are reached over a network have in common.
import pg from 'pg';
import { auditTriggers } from './audit-triggers.mjs';
import { Proxy } from '../proxy.mjs';
import { sleep, until } from '../faults/tools.mjs';

/** With a proxy in front, which the application connects to. */
export async function behindNetwork(engine, { family, address, faults, close, ...rest }) {
  const proxy = await Proxy.start(address);
  return {
    ...rest,
    engine,
    family,
    proxy,
    location: proxy.url,
    direct: address,
    faults: { ...networkFaults(proxy), ...faults },
    async stop() {
      await proxy.stop();
      await close();
    },
  };
}

const networkFaults = (proxy) => ({
  async delay({ between }) {
    const milliseconds = Math.round(between(50, 150));
    const connections = await proxy.set('delay', { milliseconds });
    await sleep(between(3000, 5000));
    await proxy.set('pass');
    return `${milliseconds} ms each way on ${connections} connections`;
  },
  async cut({ between }) {
    const connections = await proxy.set('refuse');
    await sleep(between(200, 2000));
    await proxy.set('pass');
    return `${connections} connections were reset, and new ones too`;
  },
  async partition({ between }) {
    const connections = await proxy.set('partition');
    await sleep(between(2000, 5000));
    await proxy.set('pass');
    return `${connections} connections stood still, and went on`;
  },
  async 'black-hole'({ between }) {
    const connections = await proxy.set('silence');
    await sleep(between(2000, 4000));
    await proxy.set('pass');
    return `what ${connections} connections sent was swallowed`;
  },
});

/** How rows are read and made on PostgreSQL. */
export const postgresReads = (engine) => ({
  version: async () => (await engine.query("SELECT current_setting('server_version') AS version"))[0].version,
  rows: () => engine.query('SELECT data FROM sessions', { timeout: 60_000 }),
  forget: () => engine.query('DELETE FROM sessions; DELETE FROM session_audit'),
  async watch() {
    for (const sql of auditTriggers.postgres) await engine.query(sql);
  },
  noted: () => engine.query('SELECT what, owner, detail FROM session_audit'),
  /** Rows that expire all in the same moment, `data` telling them apart. */
  async addExpired(count, expiry) {
    for (let done = 0; done < count; done += 10_000) {
      await engine.query(
        // Standbys may follow in their time: nobody is promised anything of these.
        `SET synchronous_commit TO local;
         INSERT INTO sessions (id, token_hash, data, version, created_at, touched_at, expires_at, absolute_expires_at,
           idle_timeout, persistent, last_write)
         SELECT gen_random_uuid(), sha256(gen_random_uuid()::text::bytea), '{"owner":"expired"}', 1, at, at, at, at, 1000,
           true, gen_random_uuid()
         FROM generate_series(1, ${Math.min(10_000, count - done)}), (SELECT to_timestamp(${expiry / 1000}) AS at) AS soon`,
        { timeout: 60_000 },
      );
    }
  },
  openTransactions: async () =>
    Number(
      (await engine.query("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"))[0].count,
    ),
  hasExpired: async (expiry) =>
    (await engine.query(`SELECT 1 FROM sessions WHERE expires_at = to_timestamp(${expiry / 1000}) LIMIT 1`)).length > 0,
  countExpired: async () =>
    Number(
      (await engine.query(`SELECT count(*) FROM sessions WHERE data ->> 'owner' = 'expired'`, { timeout: 60_000 }))[0]
        .count,
    ),
});

/** Refuses writes to everybody who does not ask otherwise, as administrators do before a switch-over. */
export const readOnlyPostgres = (engine) => async (world) => {
  const set = async (value) => {
    await administer(engine.url(), `ALTER SYSTEM SET default_transaction_read_only = ${value}`);
    await administer(engine.url(), 'SELECT pg_reload_conf()');
  };
  const { direct } = world.database;
  await set('on');
  await until(() => isReadOnly(direct), 'a write is refused');
  await sleep(world.between(2000, 4000));
  await set('off');
  await until(async () => !(await isReadOnly(direct)), 'writes are taken again');
  return 'a write was refused with 25006';
};

const administer = (url, sql) =>
  withClient({ connectionString: url, options: '-c default_transaction_read_only=off' }, (client) => client.query(sql));

const isReadOnly = (connectionString) =>
  withClient({ connectionString }, async (client) => {
    try {
      await client.query('BEGIN; DELETE FROM sessions WHERE false; ROLLBACK');
      return false;
    } catch (error) {
      return error.code === '25006';
    }
  });

/** A connection for a moment. */
export async function withClient(options, work) {
  const client = new pg.Client({ connectionTimeoutMillis: 1000, query_timeout: 5000, ...options });
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } finally {
    client.end().catch(() => {});
  }
}
