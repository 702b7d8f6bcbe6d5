// One fault after the other, with calm between them, in an order that the seed decides: each once before any comes again.
import { sleep } from './tools.mjs';

/** Milliseconds after a fault in which things may still be refused. */
export const RECOVERY = 5000;
const FIRST_CALM = 5000;
/** Counted from the end of a fault: what is behind the recovery is what has to be calm. */
const CALM = 8000;

/**
 * @typedef {object} World what faults happen to
 * @property {import('../fleet.mjs').Fleet} fleet
 * @property {any} database
 * @property {ReturnType<typeof import('../../race/random.mjs').seeded>} random
 * @property {(least: number, most: number) => number} between
 * @property {number} expired how many rows the sweep gets
 * @property {(repair: () => Promise<void>) => void} afterwards what has to be repaired when the fault is over for visitors
 */

/**
 * @param {Record<string, (world: World) => Promise<string>>} faults
 * @param {Omit<World, 'between' | 'afterwards'>} world
 * @param {number} seconds in which faults begin
 * @param {(line: string) => void} tell
 * @returns {Promise<{ name: string, begin: number, end: number, effect: string, failure?: string }[]>} up to one that
 *   had no effect, or of which there was no end
 */
export async function runSchedule(faults, world, seconds, tell) {
  const { random } = world;
  const between = (least, most) => least + random.fraction() * (most - least);
  const begin = performance.now();
  const deadline = begin + seconds * 1000;
  const log = [];
  let queue = [];
  await sleep(FIRST_CALM);
  // What begins now has to have an end, and calm after it.
  while (performance.now() < deadline - CALM) {
    if (queue.length === 0) queue = shuffled(Object.keys(faults), random);
    const name = queue.shift();
    if (name === undefined) break;
    const repairs = [];
    const entry = { name, begin: performance.now(), end: Infinity, effect: '' };
    log.push(entry);
    try {
      entry.effect = await faults[name]({ ...world, between, afterwards: (repair) => repairs.push(repair) });
    } catch (error) {
      // Nothing is known of what comes after it; what came before is still worth a judgement.
      entry.failure = error.message;
      entry.end = performance.now();
      tell(`${name} failed: ${error.message}`);
      return log;
    }
    entry.end = performance.now();
    const took = ((entry.end - entry.begin) / 1000).toFixed(1);
    tell(
      `${((entry.begin - begin) / 1000).toFixed(1).padStart(6)} s  ${name.padEnd(18)} ${took.padStart(5)} s  ${entry.effect}`,
    );
    for (const repair of repairs) await repair();
    await sleep(Math.max(0, entry.end + CALM - performance.now()));
  }
  await sleep(Math.max(0, deadline - performance.now()));
  return log;
}

function shuffled(list, random) {
  const rest = [...list];
  return list.map(() => rest.splice(Math.floor(random.fraction() * rest.length), 1)[0]);
}
