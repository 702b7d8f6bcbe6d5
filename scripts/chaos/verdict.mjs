// What a run has to show.
import { HARMS } from './checker/harms.mjs';
import { RECOVERY } from './faults/schedule.mjs';

/** Megabytes a minute of what is left when garbage is collected. */
const GROWTH = 1;
const CALM_REFUSED = 0.001;
/** What a promotion may lose where commits wait for no standby. It also undoes the end of a session. */
const LOST_BY_ASYNCHRONOUS = ['lost', 'stale', 'vanished', 'resurrected'];

/** @returns {string[]} what is wrong, in sentences */
export function complaints(result, { asynchronous = false } = {}) {
  const found = [];
  for (const harm of HARMS) {
    const isExpected = asynchronous && LOST_BY_ASYNCHRONOUS.includes(harm);
    if (result[harm] > 0 && !isExpected)
      found.push(`${result[harm]} ${harm}: ${result.sentences.find((each) => each.startsWith(`${harm}:`))}`);
  }
  const { deletedAlive, versionJumps, notes } = result;
  if (deletedAlive + versionJumps > 0) {
    const jumps = versionJumps === null ? '' : `, and ${versionJumps} versions jumped`;
    found.push(`${deletedAlive} sessions were deleted before their expiry${jumps}: ${notes[0]}`);
  }
  if (result.wrong.length > 0) found.push(`${result.wrong.length} wrong answers, the first of them ${result.wrong[0]}`);
  found.push(...result.unexpectedExits);
  found.push(...result.atRest);
  const growing = result.growth.filter(({ heapMbPerMinute }) => heapMbPerMinute > GROWTH);
  for (const { pid, heapMbPerMinute, seconds } of growing) {
    found.push(`the memory of process ${pid} grew by ${heapMbPerMinute} MB a minute, for ${seconds} s`);
  }
  for (const { name, failure } of result.faults ?? []) {
    if (failure !== undefined) found.push(`the fault ${name} did not do what it should: ${failure}`);
  }
  if (result.acknowledged === 0) found.push('nothing was acknowledged');
  const { calmRequests, calmRefused, lateRefusals, slowestRefusedOperationMs } = result;
  if (calmRefused > calmRequests * CALM_REFUSED) {
    found.push(
      `${calmRefused} of ${calmRequests} requests outside of faults were refused or unknown: ${JSON.stringify(result.calmRefusals)}`,
    );
  }
  if (lateRefusals > 0) {
    found.push(`${lateRefusals} operations were refused late, the slowest after ${slowestRefusedOperationMs} ms`);
  }
  for (const { fault, ms } of result.recoveries) {
    if (ms > RECOVERY) found.push(`${ms} ms after ${fault} until 99 % were answered well`);
  }
  return found;
}

/** @returns {string[]} which defects were not found, in sentences */
export const missedControls = (detected) =>
  Object.entries(detected)
    .filter(([, count]) => count === 0)
    .map(
      ([defect]) => `the defect "${defect}" was planted and not found, so the checker would not find it here either`,
    );
