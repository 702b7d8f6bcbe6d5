// What is measured: the rows, and how long.

/** @typedef {{ scenario: string, does: string, connections: number, sessions: number, kilobytes: number }} Row */

/** @returns {Row} `does` is what the generator calls it */
const row = (does, { connections = 64, sessions = 1000, kilobytes = 1 } = {}) => ({
  scenario: kilobytes === 1 ? does : `${does} ${kilobytes} KB`,
  does,
  connections,
  sessions,
  kilobytes,
});

const QUICK = [row('read'), row('write')];
const DEFAULT = [
  row('anonymous'),
  row('forged'),
  row('read'),
  row('read', { kilobytes: 16 }),
  row('write'),
  row('sign-in'),
  row('read', { connections: 1 }),
  row('write', { connections: 1 }),
];
const both = (options) => [row('read', options), row('write', options)];
const FULL = [
  ...DEFAULT,
  ...[8, 256].flatMap((connections) => both({ connections })),
  row('write', { kilobytes: 16 }),
  ...both({ sessions: 100_000 }),
];

/** Without sessions there is nothing to sign in to, and their size is all the same. */
export const runs = ({ does, kilobytes }, { database }) =>
  database !== undefined || (does !== 'sign-in' && kilobytes === 1);

/** Whether there is something to read back afterwards. */
export const stores = ({ does }) => does === 'write' || does === 'sign-in';

/**
 * `servers`: how many of each variant there are, one after the other; `rounds`: the slices of each of them.
 *
 * @returns {{ rows: Row[], servers: number, rounds: number, seconds: number, warmSeconds: number, firstWarmSeconds: number }}
 */
export function planOf({ quick, full, seconds, servers, scenario }) {
  const only = (rows) => rows.filter((each) => scenario === undefined || each.scenario === scenario);
  if (quick) {
    return {
      rows: only(QUICK),
      servers: servers ?? 1,
      rounds: 3,
      seconds: seconds ?? 0.4,
      warmSeconds: 0.15,
      firstWarmSeconds: 0.4,
    };
  }
  return {
    rows: only(full ? FULL : DEFAULT),
    servers: servers ?? 3,
    rounds: 2,
    seconds: seconds ?? 0.8,
    warmSeconds: 0.3,
    firstWarmSeconds: 1.5,
  };
}
