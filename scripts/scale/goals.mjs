// What issue 4 wants of many sessions.

/** p50 of the largest table against the smallest. */
const READ = 1.3;
const CLEANUP = { rowsPerSecond: 100_000, p99: 2 };

/** @returns {{ goal: string, wanted: number, reached: number, met: boolean }[]} */
export function judge({ reads, cleanups }) {
  const [smallest, largest] = [reads[0], reads.at(-1)];
  const most = (goal, wanted, reached) => ({ goal, wanted, reached, met: reached <= wanted });
  const least = (goal, wanted, reached) => ({ goal, wanted, reached, met: reached >= wanted });
  return [
    most(`read, p50 at ${largest.rows} rows against ${smallest.rows}`, READ, largest.p50 / smallest.p50),
    ...cleanups.flatMap(({ layout, rowsPerSecond, p99Ratio }) => [
      least(`clean-up, ${layout}: rows per second`, CLEANUP.rowsPerSecond, rowsPerSecond),
      most(`clean-up, ${layout}: p99 of reads meanwhile against before`, CLEANUP.p99, p99Ratio),
    ]),
  ];
}
