// What is still held when nobody asks for anything any more.
import { sleep } from './faults/tools.mjs';

const DEADLINE = 5000;

/** @returns {Promise<string[]>} what has not come to rest within 5 s, in sentences */
export async function heldAtRest(fleet, database) {
  const deadline = performance.now() + DEADLINE;
  for (;;) {
    const held = await look(fleet, database);
    // The clean-up goes on, and may be at work in any one moment.
    if (held.length === 0 || performance.now() > deadline) return held;
    await sleep(200);
  }
}

async function look(fleet, database) {
  const members = fleet.members.filter(({ isRunning }) => isRunning);
  const pools = await Promise.all(members.map(async (member) => ({ member, pool: (await member.ask()).pool })));
  const held = pools
    .filter(({ pool }) => pool && (pool.busy > 0 || pool.waiting > 0))
    .map(
      ({ member, pool }) => `process ${member.index} has ${pool.busy} busy connections and ${pool.waiting} who wait`,
    );
  const open = (await database.openTransactions?.()) ?? 0;
  return open > 0 ? [...held, `${open} transactions are open that nobody goes on with`] : held;
}
