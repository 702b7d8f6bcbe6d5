// What issue 4 wants, as ratios of requests per second within one run at 64 connections and 1 000 sessions of 1 KB, and
// the CPU time of the application no worse than the other's. A ratio is the median of those of each round: what slows the
// machine down for a while slows both variants of most rounds.
import { median } from './measure.mjs';

const goal = (scenario, variant, against, express, fastify) => ({ scenario, variant, against, express, fastify });
const EXPRESS_SESSION = 'express-session + ';
const FASTIFY_SESSION = '@fastify/session + ';

export const GOALS = [
  goal('anonymous', 'ours', 'bare', 0.95, 0.9),
  // Only a signature tells a forged cookie from a real one without asking the database.
  goal('forged', 'ours (signed)', 'bare', 0.95, 0.9),
  goal('read', 'ours', 'select', 1.35, 1.9),
  goal('read', 'ours', `${EXPRESS_SESSION}connect-redis`, 1.6),
  goal('read', 'ours', `${EXPRESS_SESSION}connect-pg-simple`, 2.8),
  goal('read', 'ours', `${EXPRESS_SESSION}connect-typeorm`, 5.5),
  goal('read', 'ours', `${FASTIFY_SESSION}connect-redis`, undefined, 2),
  goal('read', 'ours', `${FASTIFY_SESSION}connect-pg-simple`, undefined, 4),
  goal('read', 'ours (cache)', 'bare', 0.92, 0.75),
  goal('write', 'ours', 'select', 1.3, 2),
  goal('write', 'ours', `${EXPRESS_SESSION}connect-redis`, 1.7),
  goal('write', 'ours', `${EXPRESS_SESSION}connect-pg-simple`, 2.9),
  goal('write', 'ours', `${EXPRESS_SESSION}connect-typeorm`, 6),
  goal('write', 'ours', `${FASTIFY_SESSION}connect-redis`, undefined, 1.8),
  goal('write', 'ours', `${FASTIFY_SESSION}connect-pg-simple`, undefined, 4.5),
].flatMap((each) => (isOfStatements(each) ? [each, { ...each, variant: 'ours (prepared)' }] : [each]));

/** What `preparedStatements: true` may make a difference to; the same is asked of it. */
function isOfStatements({ variant, scenario }) {
  return ['ours', 'ours (prepared)'].includes(variant) && ['read', 'write'].includes(scenario);
}

/**
 * How far one gets that does nothing of what a session does besides: statements that are shared, or against no session a guard and
 * two headers.
 */
function leastAgainst(rows, theirs, figure) {
  const { platform, scenario, connections } = theirs;
  const variant = theirs.variant === 'bare' ? 'bare (guard)' : 'shared';
  const least = find(rows, { platform, scenario, connections, variant });
  return least && ratioOf(figure, least, theirs);
}

function ratioOf(figure, one, other) {
  return median(one.rounds.map((round, index) => round[figure] / other.rounds[index][figure]));
}

/** @returns {{ platform: string, scenario: string, variant: string, against: string, goal: number, ratio: number, leastRatio: number | undefined, cpuRatio: number, met: boolean }[]} */
export function judge(rows) {
  return GOALS.flatMap(({ scenario, variant, against, ...wanted }) =>
    Object.entries(wanted)
      .filter(([, ratio]) => ratio !== undefined)
      .flatMap(([platform, ratio]) => {
        const [ours, theirs] = [variant, against].map((name) => find(rows, { platform, scenario, variant: name }));
        if (!ours || !theirs) return [];
        const [reached, cpuRatio] = ['rps', 'appMicros'].map((figure) => ratioOf(figure, ours, theirs));
        const cpuGoal = against === 'bare' ? 1 / ratio : 1;
        const met = reached >= ratio && cpuRatio <= cpuGoal;
        const leastRatio = leastAgainst(rows, theirs, 'rps');
        return [{ platform, scenario, variant, against, goal: ratio, ratio: reached, leastRatio, cpuRatio, met }];
      }),
  );
}

/** The median answer of one visitor alone, who shares no statement with anybody. At most so much of the other's. */
export const LATENCY_GOALS = ['ours', 'ours (prepared)'].flatMap((variant) =>
  ['read', 'write'].map((scenario) => goal(scenario, variant, 'select', 1.1, 1.15)),
);

/** @returns {{ platform: string, scenario: string, variant: string, against: string, goal: number, ratio: number, leastRatio: number | undefined, met: boolean }[]} */
export function judgeLatency(rows) {
  return LATENCY_GOALS.flatMap(({ scenario, variant, against, ...wanted }) =>
    Object.entries(wanted).flatMap(([platform, ratio]) => {
      const one = { platform, scenario, connections: 1 };
      const [ours, theirs] = [variant, against].map((name) => find(rows, { ...one, variant: name }));
      if (!ours || !theirs) return [];
      const reached = ratioOf('p50', ours, theirs);
      // It has no names for its statements either, which those that are prepared have.
      const leastRatio = variant === 'ours' ? leastAgainst(rows, theirs, 'p50') : undefined;
      return [{ platform, scenario, variant, against, goal: ratio, ratio: reached, leastRatio, met: reached <= ratio }];
    }),
  );
}

const find = (rows, wanted) => {
  const columns = { connections: 64, sessions: 1000, kilobytes: 1, ...wanted };
  return rows.find((row) => Object.entries(columns).every(([name, value]) => row[name] === value));
};
