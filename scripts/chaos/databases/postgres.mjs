import { PostgresSingle } from './postgres-single.mjs';
import { behindNetwork, postgresReads, readOnlyPostgres } from './networked.mjs';
import { refuses, sleep, until } from '../faults/tools.mjs';

const restart = (how) => async (world) => {
  const { engine } = world.database;
  const { pid } = engine;
  if (how === 'kill') await engine.kill();
  else await engine.stop(how);
  await refuses(engine.url());
  await sleep(world.between(500, 2000));
  await engine.launch();
  await until(() => engine.query('SELECT 1'), 'the database answers again');
  return `process ${pid} was gone and the port refused; ${engine.pid} serves now`;
};

export async function start() {
  const engine = await PostgresSingle.start();
  return behindNetwork(engine, {
    family: 'postgres',
    address: engine.url(),
    ...postgresReads(engine),
    faults: {
      'restart-fast': restart('fast'),
      'restart-immediate': restart('immediate'),
      'restart-kill': restart('kill'),
      'read-only': readOnlyPostgres(engine),
    },
    skipped: {
      'disk-full': 'a full disk of PostgreSQL needs a file system of its own for its data; SQLite has one here',
    },
    close: () => engine.close(),
  });
}
