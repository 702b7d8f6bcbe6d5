// Clean-up of expired rows by the application itself, while it answers requests.
import { machineMicros } from '../bench/cpu.mjs';
import { complaints } from '../bench/contestants.mjs';
import { CONNECTIONS } from './site.mjs';

const READ = { scenario: 'read', connections: CONNECTIONS };

/** @param {import('./site.mjs').Site} site @returns {Promise<object>} */
export async function measureCleanup(site, { seconds }) {
  await site.database.settle();
  await site.open(READ);
  await site.run({ scenario: 'once' }, {});
  const before = await site.run(READ, { seconds });
  const [spentBefore, machineBefore, walBefore] = [await site.spent(), machineMicros(), await walOf(site)];
  const begin = performance.now();
  await site.begin();
  const runs = [];
  do runs.push(await site.cleanUp());
  while (!runs.at(-1).done);
  const took = (performance.now() - begin) / 1000;
  const meanwhile = await site.end();
  const [spent, machine, wal] = [await site.spent(), machineMicros(), await walOf(site)];
  const after = await site.run(READ, { seconds });
  await site.close();
  const deleted = runs.reduce((sum, run) => sum + run.deleted, 0);
  const wrong = Object.entries({ before, meanwhile, after }).flatMap(([when, run]) =>
    complaints(when, run.wrong, run.samples),
  );
  const [app, database] = ['app', 'database'].map((who) => spent[who] - spentBefore[who]);
  return {
    deleted,
    runs: runs.length,
    seconds: took,
    rowsPerSecond: deleted / took,
    walBytesPerRow: (wal - walBefore) / deleted,
    reads: Object.fromEntries(
      Object.entries({ before, meanwhile, after }).map(([when, { requests, seconds: lasted, p50, p99 }]) => [
        when,
        { rps: requests / lasted, p50, p99 },
      ]),
    ),
    p99Ratio: meanwhile.p99 / before.p99,
    databaseCores: database / 1e6 / took,
    foreignCores: (machine - machineBefore - app - database - meanwhile.generatorMicros) / 1e6 / took,
    ok: wrong.length === 0,
    complaints: wrong,
  };
}

async function walOf({ client }) {
  const { rows } = await client.query(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes`);
  return Number(rows[0].bytes);
}
