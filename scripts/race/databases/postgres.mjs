import pg from 'pg';
import { startPostgres } from '../../postgres.mjs';

export const entity = 'SessionEntity';

export async function start() {
  const server = await startPostgres();
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const query = async (sql) => (await client.query(sql)).rows;
  const [{ version }] = await query("SELECT current_setting('server_version') AS version");
  return {
    location: server.url,
    version,
    query,
    async stop() {
      await client.end();
      await server.stop();
    },
  };
}

export const dataSource = (url) => ({ type: 'postgres', url, connectTimeoutMS: 2000 });
