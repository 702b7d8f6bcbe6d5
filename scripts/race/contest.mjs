// All operations, one after the other, against one implementation.
import { Arena } from './arena.mjs';
import { startNodes } from './nodes.mjs';
import { operations } from './operations/index.mjs';
import { Truth } from './truth.mjs';

/**
 * @param {'library' | 'naive'} implementation
 * @returns the counts of each operation and the answers that it got, the wrong ones in full, and how long all took
 */
export async function contest(implementation, database, databaseName, { processes, workers, rounds, seed }) {
  const nodes = await startNodes(processes, { databaseName, location: database.location, implementation });
  const result = { operations: {}, answers: {}, wrong: [], requests: 0, seconds: 0 };
  try {
    for (const [name, race] of Object.entries(operations)) {
      const arena = new Arena(name, nodes, { workers, seed, total: processes * workers * rounds });
      const start = performance.now();
      const judge = await race(arena);
      const seconds = (performance.now() - start) / 1000;
      const counts = { ...judge(await Truth.read(database, implementation)), refused: arena.refused };
      await Truth.forget(database, implementation);
      result.operations[name] = counts;
      result.answers[name] = arena.answers;
      result.wrong.push(...arena.wrong.map((answer) => `${name}: ${answer}`));
      result.requests += arena.requests;
      result.seconds += seconds;
      report(implementation, name, counts, arena.requests / seconds);
    }
  } finally {
    await nodes.stop();
  }
  const { requests, seconds } = result;
  return { ...result, seconds: Number(seconds.toFixed(1)), requestsPerSecond: Math.round(requests / seconds) };
}

function report(implementation, name, counts, rate) {
  const figures = Object.entries(counts).map(([what, count]) => `${what} ${count}`.padEnd(18));
  console.log(`${implementation.padEnd(8)} ${name.padEnd(12)} ${figures.join('')} ${Math.round(rate)} requests/s`);
}
