// Who uses a persistent cluster. Each user holds an advisory lock in the server, shared; so the server itself knows
// whether there are others, and forgets a user whose connection ends, however it ended.
import pg from 'pg';
import { forgetServer, runningServer } from './server.mjs';

const usersLock = 5_432_001;

/** @returns {Promise<pg.Client | undefined>} whose connection makes us a user; none where the server is going down. */
export async function becomeUser(folder, url) {
  const client = await connect(folder, url);
  if (!client) return undefined;
  if (await lock(client, 'pg_try_advisory_lock_shared')) return client;
  await client.end();
  return undefined;
}

/** Does the work where nobody uses the cluster, and keeps others from joining meanwhile. */
export async function ifLastUser(folder, url, work) {
  const client = await connect(folder, url);
  if (!client) return;
  if (await lock(client, 'pg_try_advisory_lock')) await work();
  await client.end().catch(() => {});
}

async function lock(client, lockFunction) {
  try {
    const { rows } = await client.query(`SELECT ${lockFunction}($1) AS granted`, [usersLock]);
    return rows[0].granted;
  } catch {
    // The server went down just now.
    return false;
  }
}

async function connect(folder, url) {
  const server = runningServer(folder);
  const client = new pg.Client({ connectionString: url, application_name: 'guardian' });
  // The server may go away under an idle connection. That shows at the next query.
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    const startingOrStopping = '57P03';
    if (error instanceof pg.DatabaseError && error.code !== startingOrStopping) throw error;
    // A server that is ready listens. What does not is not our server any more.
    if (server && error.code === 'ECONNREFUSED') forgetServer(folder, server);
    return undefined;
  }
}
