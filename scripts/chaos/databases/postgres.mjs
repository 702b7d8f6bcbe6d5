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

/** The tables' file system is full; that of the log of what was committed is another. */
const diskFull = (disk) => async (world) => {
  const { engine } = world.database;
  const makeRoom = disk.fill();
  let refusal;
  try {
    await sleep(world.between(2000, 4000));
    refusal = await codeOf(engine.query("CREATE TABLE one_too_many AS SELECT 'a row' AS text"));
  } finally {
    makeRoom();
  }
  if (refusal !== DISK_FULL) throw new Error(`a new table was answered with ${refusal ?? 'success'}`);
  return `a new table was refused with ${refusal}`;
};

const DISK_FULL = '53100';

const codeOf = (answer) =>
  answer.then(
    () => undefined,
    ({ code, message }) => code ?? message,
  );

export async function start() {
  const engine = await PostgresSingle.start();
  const { disk } = engine;
  return behindNetwork(engine, {
    family: 'postgres',
    address: engine.url(),
    ...postgresReads(engine),
    faults: {
      'restart-fast': restart('fast'),
      'restart-immediate': restart('immediate'),
      'restart-kill': restart('kill'),
      'read-only': readOnlyPostgres(engine),
      ...(disk.isSmall && { 'disk-full': diskFull(disk) }),
    },
    skipped: disk.isSmall ? {} : { 'disk-full': 'only root can mount a file system that gets full' },
    close: () => engine.close(),
  });
}
