import mysql from 'mysql2/promise';
import { startMariadb } from '../../mariadb.mjs';

export const entity = 'MysqlSessionEntity';

export async function start() {
  const server = await startMariadb();
  const connection = await mysql.createConnection({ uri: server.url });
  const query = async (sql) => (await connection.query(sql))[0];
  await query('CREATE DATABASE race');
  await query('USE race');
  const [{ version }] = await query('SELECT version() AS version');
  return {
    location: `${server.url}race`,
    version,
    query,
    async stop() {
      await connection.end();
      await server.stop();
    },
  };
}

export const dataSource = (url) => ({ type: 'mariadb', url, connectTimeout: 2000 });
