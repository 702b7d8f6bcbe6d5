// Says over HTTP which servers sessions can be kept on: `GET /NUMBER` is 200 or 503. HAProxy asks it, since what it could
// ask the servers by itself is answered by standbys, by Galera nodes outside the quorum and by nodes that are joining.
//
// It comes as a process of its own, so that no work of others makes it late: { kind, urls } as a message, and the port as
// the answer.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import pg from 'pg';

const pause = 100;
const patience = 500;
/** What is older than this is no knowledge. */
const fresh = 1000;

process.once('disconnect', () => process.exit());

const [{ kind, urls }] = await once(process, 'message');
const watchers = { postgres: watchPostgres, galera: watchGalera };
/** The last answers. @type {{ at: number, serves: boolean, timeline: number }[]} */
const known = urls.map(() => ({ at: 0, serves: false, timeline: 0 }));
urls.forEach((url, index) => watch(url, index));

const server = createServer((request, response) => {
  const index = Number(request.url.slice(1)) - 1;
  response.statusCode = isGood(index) ? 200 : 503;
  response.end();
}).listen(0, '127.0.0.1');
await once(server, 'listening');
process.send({ port: server.address().port });

function isGood(index) {
  const isFresh = (state) => state.serves && Date.now() - state.at < fresh;
  const state = known[index];
  // An old primary that has come back by itself is one still, and nobody follows it.
  return (
    state !== undefined && isFresh(state) && !known.some((other) => isFresh(other) && other.timeline > state.timeline)
  );
}

async function watch(url, index) {
  const ask = watchers[kind](url);
  for (;;) {
    const at = Date.now();
    try {
      known[index] = { at, timeline: 0, ...(await ask()) };
    } catch {
      known[index] = { at, serves: false, timeline: 0 };
    }
    await sleep(pause);
  }
}

function watchPostgres(url) {
  let client;
  return async () => {
    try {
      client ??= await connectPostgres(url);
      const [{ standby }] = (await client.query('SELECT pg_is_in_recovery() AS standby')).rows;
      if (standby) return { serves: false };
      // The first eight digits of a WAL file's name are the timeline; the control file learns it at the next checkpoint.
      const [{ file }] = (await client.query('SELECT pg_walfile_name(pg_current_wal_lsn()) AS file')).rows;
      return { serves: true, timeline: Number.parseInt(file.slice(0, 8), 16) };
    } catch (error) {
      client?.end().catch(() => {});
      client = undefined;
      throw error;
    }
  };
}

async function connectPostgres(connectionString) {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: patience, query_timeout: patience });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** `wsrep_ready` is ON in the quorum, and state 4 is "Synced". Not by SELECT, which wsrep_sync_wait makes wait. */
function watchGalera(url) {
  const sql = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')";
  let connection;
  return async () => {
    try {
      connection ??= await connectMysql(url);
      const [rows] = await connection.query({ sql, timeout: patience });
      const status = Object.fromEntries(rows.map((row) => [row.Variable_name, row.Value]));
      return { serves: status.wsrep_ready === 'ON' && status.wsrep_local_state === '4' };
    } catch (error) {
      connection?.destroy();
      connection = undefined;
      throw error;
    }
  };
}

async function connectMysql(url) {
  const { hostname, port, username, password } = new URL(url);
  const options = { host: hostname, port: Number(port), user: username, password, connectTimeout: patience };
  const connection = await mysql.createConnection(options);
  connection.on('error', () => {});
  return connection;
}
