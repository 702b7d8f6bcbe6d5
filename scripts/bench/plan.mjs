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

/** @returns {{ rows: Row[], rounds: number, seconds: number, warmSeconds: number, firstWarmSeconds: number }} */
export function planOf({ quick, full, seconds, scenario }) {
  const only = (rows) => rows.filter((each) => scenario === undefined || each.scenario === scenario);
  if (quick) return { rows: only(QUICK), rounds: 3, seconds: seconds ?? 0.7, warmSeconds: 0.2, firstWarmSeconds: 0.5 };
  // In more than three rounds, as the machine is quicker at one time than at another, and for longer than a slice takes.
  return {
    rows: only(full ? FULL : DEFAULT),
    rounds: 5,
    seconds: seconds ?? 1,
    warmSeconds: 0.3,
    firstWarmSeconds: 1.5,
  };
}
