// What a run has to show.
import { HARMS } from './checker/harms.mjs';
import { RECOVERY } from './faults/schedule.mjs';

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
  if (result.wrong.length > 0) found.push(`${result.wrong.length} wrong answers, the first of them ${result.wrong[0]}`);
  found.push(...result.unexpectedExits);
  if (result.acknowledged === 0) found.push('nothing was acknowledged');
  const { calmRequests, calmRefused, lateRefusals, slowestRefusalMs } = result;
  // A short run has no thousand requests in calm.
  if (calmRefused > Math.max(1, calmRequests * CALM_REFUSED)) {
    found.push(
      `${calmRefused} of ${calmRequests} requests outside of faults were refused or unknown: ${JSON.stringify(result.calmRefusals)}`,
    );
  }
  if (lateRefusals > 0) found.push(`${lateRefusals} refusals came late, the slowest after ${slowestRefusalMs} ms`);
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
