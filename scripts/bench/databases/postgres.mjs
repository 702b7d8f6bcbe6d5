// A PostgreSQL of our own, durable as in production, with a database for each server.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres } from '../../postgres.mjs';

const SETTINGS = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_connections',
  'server_version',
];
const RELOADED = 100;

/** @param {Record<string, string>} [settings] of the server, instead of its defaults */
export async function start(settings = {}) {
  const server = await startPostgres({ synced: true, settings });
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  // Our own statements are not the ones to count.
  await client.query("SET log_statement = 'none'");
  await client.query("ALTER SYSTEM SET log_line_prefix = 'bench %d '");
  await client.query('ALTER SYSTEM SET log_parameter_max_length = 0');

  const urlOf = (name) => Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
  const log = () => readFileSync(join(server.folder, 'server.log'), 'latin1');
  const logStatements = async (which) => {
    await client.query(`ALTER SYSTEM SET log_statement = '${which}'`);
    await client.query('SELECT pg_reload_conf()');
    // Each process of the server is signalled by itself, and nobody says when all have heard it.
    await sleep(RELOADED);
  };
  const shown = await client.query('SELECT name, current_setting(name) AS setting FROM unnest($1::text[]) AS name', [
    [...new Set([...SETTINGS, ...Object.keys(settings)])],
  ]);
  return {
    pid: server.pid,
    configuration: Object.fromEntries(shown.rows.map(({ name, setting }) => [name, setting])),
    async create(name) {
      await client.query(`CREATE DATABASE "${name}"`);
      return urlOf(name);
    },
    /** What autovacuum does within a minute: a planner that has never seen the table takes other ways than in production. */
    async analyze(name) {
      const inside = new pg.Client({ connectionString: urlOf(name) });
      await inside.connect();
      await inside.query('ANALYZE');
      await inside.end();
    },
    drop: (name) => client.query(`DROP DATABASE "${name}"`),
    /** After a checkpoint each page is written whole once: so that all pay for it alike, and while they warm up. */
    settle: () => client.query('CHECKPOINT'),
    /** Every statement that the work has sent to this database, BEGIN and COMMIT too: as the server's own log has them. */
    async countStatements(name, work) {
      await logStatements('all');
      const before = log().length;
      await work();
      const lines = log().slice(before).split('\n');
      await logStatements('none');
      return lines.filter((line) => /^bench (\S+) LOG: {2}(?:statement|execute [^:]*):/.exec(line)?.[1] === name)
        .length;
    },
    async stop() {
      await client.end();
      await server.stop();
    },
  };
}
