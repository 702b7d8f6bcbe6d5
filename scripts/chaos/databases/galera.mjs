// Three MariaDB servers of one Galera cluster, all of them written to, behind HAProxy.
import mysql from 'mysql2/promise';
import { GaleraTrio } from '../../engines/galera-trio.mjs';
import { HaProxy } from '../../engines/haproxy.mjs';
import { auditTriggers } from './audit-triggers.mjs';
import { behindNetwork } from './networked.mjs';
import { refuses, sleep, until } from '../faults/tools.mjs';

const NODES = [1, 2, 3];
/** An account that `read_only` is meant for: the administrator's writes pass. */
const USER = 'app';

export async function start() {
  // Without, a read on another node may be older than a write that was acknowledged.
  const engine = await GaleraTrio.start({ syncWait: 1 });
  const password = new URL(engine.url()).password;
  await engine.query(`CREATE USER ${USER}@'127.0.0.1' IDENTIFIED BY '${password}'`);
  await engine.query(`GRANT ALL ON sessions.* TO ${USER}@'127.0.0.1'`);
  const balancer = await HaProxy.start(engine);
  const address = new URL(balancer.url());
  address.username = USER;

  const serves = () => until(() => answers(address), 'a node answers by HAProxy');
  /** A node that was frozen learns a moment after it has come back that the others have gone on without it. */
  const settled = async () => {
    for (let round = 0; round < 20; round++) {
      const ready = await Promise.all(NODES.map((node) => engine.isReady(node)));
      if (ready.includes(false)) return false;
      await sleep(100);
    }
    return true;
  };
  const anyReady = async () => {
    for (const node of NODES) if (await engine.isReady(node)) return node;
    throw new Error('no node is ready');
  };
  const query = async (sql, options = {}) => engine.query(`${sql}`, { node: await anyReady(), ...options });
  const table = 'sessions.sessions';
  const audit = 'sessions.session_audit';
  const loseQuorum = async (world) => {
    const left = world.random.pick(NODES);
    const killed = NODES.filter((node) => node !== left);
    await Promise.all(killed.map((node) => engine.kill(node)));
    await until(async () => !(await engine.isReady(left)), `node ${left} has lost the quorum`);
    await sleep(world.between(1000, 2000));
    return { left, killed };
  };

  return behindNetwork(engine, {
    family: 'mariadb',
    address: address.href,
    version: async () => (await query('SELECT version() AS version'))[0].version,
    rows: () => query(`SELECT data FROM ${table}`, { timeout: 60_000 }),
    async forget() {
      for (const each of [table, audit]) await query(`DELETE FROM ${each}`);
    },
    async watch() {
      for (const sql of auditTriggers.mariadb) await query(sql);
    },
    noted: () => query(`SELECT what, owner, detail FROM ${audit}`),
    async addExpired(count, expiry) {
      for (let done = 0; done < count; done += 10_000) {
        await query(
          `INSERT INTO ${table} (id, token_hash, data, version, created_at, touched_at, expires_at, absolute_expires_at,
             idle_timeout, persistent, last_write)
           SELECT UUID(), UNHEX(SHA2(CONCAT(UUID(), seq), 256)), '{"owner":"expired"}', 1, ${expiry}, ${expiry}, ${expiry}, ${expiry},
             1000, 1, UUID() FROM sessions.seq_1_to_${Math.min(10_000, count - done)}`,
          { timeout: 60_000 },
        );
      }
    },
    async openTransactions() {
      const sql =
        'SELECT count(*) AS n FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()';
      const answers = await Promise.all(NODES.map((node) => engine.query(sql, { node })));
      return answers.reduce((sum, [{ n }]) => sum + Number(n), 0);
    },
    hasExpired: async (expiry) =>
      (await query(`SELECT 1 FROM ${table} WHERE expires_at = ${expiry} LIMIT 1`)).length > 0,
    countExpired: async () =>
      Number(
        (await query(`SELECT count(*) AS n FROM ${table} WHERE data = '{"owner":"expired"}'`, { timeout: 60_000 }))[0]
          .n,
      ),
    faults: {
      async 'node-killed'(world) {
        const node = world.random.pick(NODES);
        await engine.kill(node);
        await refuses(engine.url(node));
        await serves();
        await sleep(world.between(2000, 4000));
        // Part of it: another node stands still while it gives away what the one that is back has missed.
        await engine.rejoin(node);
        await until(settled, 'all nodes are ready, and stay so');
        return `node ${node} was gone, its port refused`;
      },
      async 'node-frozen'(world) {
        const node = world.random.pick(NODES);
        engine.freeze(node);
        await sleep(world.between(2000, 5000));
        const isFrozen = !(await engine.isReady(node));
        engine.thaw(node);
        if (!isFrozen) throw new Error(`node ${node} still answered`);
        await until(settled, 'all nodes are ready, and stay so');
        await serves();
        return `node ${node} did not answer, and then it did`;
      },
      /** Restored as the manual says: from the node that has most, which may be one of those that are down. */
      async 'quorum-lost'(world) {
        const { left, killed } = await loseQuorum(world);
        await engine.kill(left);
        const first = await engine.recover();
        await serves();
        return `nodes ${killed.join(' and ')} were gone, node ${left} said that it is not ready; all went on from node ${first}`;
      },
      async 'read-only'(world) {
        const nodes = NODES.map((node) => (value) => engine.query(`SET GLOBAL read_only = ${value}`, { node }));
        for (const set of nodes) await set(1);
        await sleep(world.between(2000, 4000));
        const code = await refusalOf(address);
        for (const set of nodes) await set(0);
        if (code !== 1290) throw new Error(`a write was not refused with 1290 but ${code}`);
        await until(async () => (await refusalOf(address)) === undefined, 'writes are taken again');
        return 'a write was refused with 1290';
      },
    },
    /** These alone where they are named: what they lose, it is the database that loses it. */
    lossy: {
      /** Goes on with what the survivor has: the dead may have acknowledged more. */
      async 'quorum-bootstrapped'(world) {
        const { left, killed } = await loseQuorum(world);
        await engine.bootstrap(left);
        await serves();
        world.afterwards(async () => {
          for (const node of killed) await engine.rejoin(node);
        });
        return `nodes ${killed.join(' and ')} were gone, node ${left} said that it is not ready, and was made a cluster`;
      },
    },
    skipped: { 'disk-full': 'a full disk of MariaDB needs a file system of its own for its data; SQLite has one here' },
    async close() {
      await balancer.close();
      await engine.close();
    },
  });
}

async function connect({ hostname, port, username, password }) {
  const options = { host: hostname, port: Number(port), user: username, password, connectTimeout: 1000 };
  const connection = await mysql.createConnection({ ...options, database: 'sessions' });
  connection.on('error', () => {});
  return connection;
}

async function answers(address) {
  const connection = await connect(address);
  try {
    await connection.query({ sql: 'SELECT count(*) FROM sessions', timeout: 2000 });
    return true;
  } finally {
    connection.destroy();
  }
}

async function refusalOf(address) {
  const connection = await connect(address);
  try {
    await connection.query({ sql: 'DELETE FROM sessions WHERE false', timeout: 2000 });
  } catch (error) {
    return error.errno;
  } finally {
    connection.destroy();
  }
}
