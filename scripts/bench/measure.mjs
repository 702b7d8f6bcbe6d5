// Slices, and what becomes of them.
import { machineMicros } from './cpu.mjs';
import { complaints } from './contestants.mjs';

const COUNTED_PER_CONNECTION = 10;

/**
 * One variant for some seconds. Its CPU time is read before the first request and after the last answer, so that it is
 * the requests' and nobody else's.
 */
export async function slice(contestant, row, { seconds, warmSeconds }) {
  await contestant.database?.settle();
  await contestant.open(row);
  const warm = await contestant.run(row, { seconds: warmSeconds });
  const [before, machineBefore] = [await contestant.spent(), machineMicros()];
  const run = await contestant.run(row, { seconds });
  const [after, machineAfter] = [await contestant.spent(), machineMicros()];
  await contestant.close();
  const perRequest = (micros) => micros / run.requests;
  const [app, system, database] = ['app', 'system', 'database'].map((who) => after[who] - before[who]);
  return {
    rps: run.requests / run.seconds,
    appMicros: perRequest(app),
    appSystemMicros: perRequest(system),
    databaseMicros: perRequest(database),
    p50: run.p50,
    p99: run.p99,
    generatorMicros: perRequest(run.generatorMicros),
    // What the rest of the machine has used meanwhile, in cores: above a few hundredths the figures are in doubt.
    foreignCores: (machineAfter - machineBefore - app - database - run.generatorMicros) / 1e6 / run.seconds,
    complaints: [
      ...complaints('warm-up', warm.wrong, warm.samples),
      ...complaints(row.scenario, run.wrong, run.samples),
    ],
  };
}

/** Until V8 has compiled what the row needs. */
export async function warmUp(contestant, row, seconds) {
  await contestant.open(row);
  const { wrong, samples } = await contestant.run(row, { seconds });
  await contestant.close();
  return complaints('first warm-up', wrong, samples);
}

/** Not while it is measured: counting costs. As many at once as when it is, since statements may be shared. */
export async function statementsPerRequest(contestant, row) {
  if (!contestant.database) return { statements: 0, complaints: [] };
  const requests = COUNTED_PER_CONNECTION * Math.max(row.connections, 8);
  let run;
  await contestant.open(row);
  const statements = await contestant.database.countStatements(contestant.name, async () => {
    run = await contestant.run(row, { requests });
  });
  await contestant.close();
  return { statements: statements / requests, complaints: complaints('counting', run.wrong, run.samples) };
}

/** The median of each figure by itself. */
export function medians(rounds) {
  const { complaints: _, ...figures } = rounds[0];
  return Object.fromEntries(Object.keys(figures).map((name) => [name, median(rounds.map((round) => round[name]))]));
}

/** @param {number[]} numbers */
export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}
