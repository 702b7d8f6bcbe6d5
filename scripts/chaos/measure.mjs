// Figures of the requests: how many were answered well, how late, and when.
import { RECOVERY } from './faults/schedule.mjs';

/**
 * How many milliseconds an operation may take that is refused: the deadline of the library is 2 s. It is measured in the
 * process that answers. What the client sees is told besides: a request of several operations may take several deadlines.
 */
const REFUSAL_DEADLINE = 2500;
const GOOD = 0.99;
const EVIDENCE = 20;

/**
 * @param {object} run
 * @param {{ begin: number, end: number, outcome: string, unanswered?: boolean, code?: string, member: number,
 *   waited?: number, longest?: number }[]} run.log
 * @param {{ name: string, begin: number, end: number }[]} run.faults
 * @param {{ begin: number, end: number, member: number }[]} run.frozen when which process could not answer
 */
export function measure({ log, faults, frozen, begin, end }) {
  const isBad = ({ outcome }) => outcome === 'refused' || outcome === 'unknown';
  const windows = faults.map((fault) => ({ begin: fault.begin, end: fault.end + RECOVERY }));
  const inFault = (each) => windows.some((window) => each.begin < window.end && each.end > window.begin);
  const good = log.filter((each) => !isBad(each));
  const bad = log.filter(isBad);
  const calm = log.filter((each) => !inFault(each));
  const calmBad = calm.filter(isBad);
  const wasFrozen = (each) =>
    frozen.some(({ begin: from, end: to, member }) => member === each.member && each.begin < to && each.end > from);
  const p99CalmMs = percentile(calm.filter((each) => !isBad(each)));
  const refusals = bad.filter((each) => !each.unanswered && !wasFrozen(each));
  const late = refusals.filter(({ longest }) => longest > REFUSAL_DEADLINE);
  const slowest = (of) => Math.round(refusals.reduce((most, each) => Math.max(most, of(each)), 0));
  return {
    seconds: secondsOf(end - begin),
    acknowledged: log.filter(({ outcome }) => outcome === 'ok').length,
    unknown: log.filter(({ outcome }) => outcome === 'unknown').length,
    refused: log.filter(({ outcome }) => outcome === 'refused').length,
    calmRequests: calm.length,
    calmRefused: calmBad.length,
    calmRefusals: countBy(calmBad, ({ code }) => code),
    lateRefusals: late.length,
    latest: refusals
      .filter((each) => latencyOf(each) > REFUSAL_DEADLINE)
      .sort((a, b) => latencyOf(b) - latencyOf(a))
      .slice(0, EVIDENCE)
      .map((each) => ({
        op: each.op,
        code: each.code,
        process: each.member,
        at: secondsOf(each.begin - begin),
        ms: Math.round(latencyOf(each)),
        longestOperationMs: each.longest,
        fault: faults.find((fault) => each.begin < fault.end && each.end > fault.begin)?.name,
      })),
    slowestRefusedOperationMs: slowest(({ longest }) => longest ?? 0),
    slowestRefusalMs: slowest(latencyOf),
    refusalsOver2500Ms: refusals.filter((each) => latencyOf(each) > REFUSAL_DEADLINE).length,
    longestGapMs: Math.round(longestGap(good, begin, end)),
    p99CalmMs,
    p99FaultMs: percentile(good.filter(inFault)),
    recoveries: faults.map((fault, index) => ({
      fault: fault.name,
      ms: recovery(log, fault.end, faults[index + 1]?.begin ?? end, isBad),
    })),
  };
}

/** What its handler was asked to wait for before it does anything is no business of ours. */
const latencyOf = ({ begin, end, waited = 0 }) => end - begin - waited;

function longestGap(good, begin, end) {
  const ends = [begin, ...good.map((each) => each.end), end].sort((a, b) => a - b);
  return ends.reduce((longest, at, index) => Math.max(longest, index === 0 ? 0 : at - ends[index - 1]), 0);
}

function percentile(requests) {
  if (requests.length === 0) return null;
  const latencies = requests.map(latencyOf).sort((a, b) => a - b);
  return Math.round(latencies[Math.floor(0.99 * (latencies.length - 1))]);
}

/** After how many milliseconds 99 % of all that was asked for until the next fault is answered well. */
function recovery(log, from, to, isBad) {
  const after = log.filter(({ begin, end }) => begin >= from && end < to).sort((a, b) => b.begin - a.begin);
  let bad = 0;
  let reached = to - from;
  after.forEach((each, index) => {
    if (isBad(each)) bad += 1;
    if (bad <= (index + 1) * (1 - GOOD)) reached = each.begin - from;
  });
  return bad === 0 ? 0 : Math.round(reached);
}

const secondsOf = (milliseconds) => Number((milliseconds / 1000).toFixed(1));

function countBy(list, keyOf) {
  const counts = {};
  for (const each of list) counts[keyOf(each)] = (counts[keyOf(each)] ?? 0) + 1;
  return counts;
}
