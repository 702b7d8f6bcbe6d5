import { describe, expect, it } from '@jest/globals';
import { measure } from '../../scripts/chaos/measure.mjs';
import { growthOf } from '../../scripts/chaos/memory.mjs';
import { complaints } from '../../scripts/chaos/verdict.mjs';

const SECOND = 1000;
/** A request every 10 ms for a minute, each answered after 5 ms; `refuse` says which are not. */
function requests(refuse: (begin: number) => boolean) {
  return Array.from({ length: 6000 }, (_, index) => {
    const begin = index * 10;
    return { begin, end: begin + 5, outcome: refuse(begin) ? 'refused' : 'ok', code: '503', member: 1 };
  });
}

const fault = { name: 'cut', begin: 10 * SECOND, end: 12 * SECOND };
const run = (refuse: (begin: number) => boolean) => ({
  log: requests(refuse),
  faults: [fault],
  frozen: [],
  begin: 0,
  end: 60 * SECOND,
});
const untilAfterFault = (milliseconds: number) => (begin: number) =>
  begin >= fault.begin && begin < fault.end + milliseconds;

const nothing = {
  sentences: [],
  wrong: [],
  unexpectedExits: [],
  growth: [],
  atRest: [],
  deletedAlive: 0,
  versionJumps: 0,
  notes: [],
};
const complaintsOf = (refuse: (begin: number) => boolean) => complaints({ ...nothing, ...measure(run(refuse)) });

describe('the figures of npm run chaos', () => {
  it('allow refusals in a fault, and tell how long it took until all was well', () => {
    const result = measure(run(untilAfterFault(1000)));
    expect(result).toMatchObject({
      acknowledged: 5700,
      refused: 300,
      calmRefused: 0,
      longestGapMs: 3010,
      p99CalmMs: 5,
    });
    // Of 47.5 s that are answered well, 1 % is refused before.
    expect(result.recoveries).toEqual([{ fault: 'cut', ms: expect.any(Number) }]);
    expect(result.recoveries[0]!.ms).toBeLessThanOrEqual(1000);
    expect(complaintsOf(untilAfterFault(1000))).toEqual([]);
  });

  it('complain where it takes longer than 5 s', () => {
    const found = complaintsOf(untilAfterFault(7000)).join('; ');
    expect(found).toMatch(/of 5\d\d\d requests|of 4\d\d\d requests/);
    expect(found).toMatch(/\d ms after cut until 99 % were answered well/);
  });

  it('complain about refusals without a fault', () => {
    expect(complaintsOf((begin) => begin % 5000 === 0).join('; ')).toMatch(/requests outside of faults were refused/);
  });

  it('complain about a single one, where there were no thousand requests', () => {
    const { log, ...rest } = run((begin) => begin === 9990);
    expect(complaints({ ...nothing, ...measure({ ...rest, log: log.slice(900, 1800) }) })[0]).toMatch(/^1 of 200 req/);
  });

  describe('of a refusal that comes late', () => {
    const late = { begin: 11_000, end: 13_900, outcome: 'refused', code: '503', member: 2, longest: 2700 };
    const all = (more: object) => ({ ...run(() => false), log: [...requests(() => false), { ...late, ...more }] });

    it('complain', () => {
      expect(complaints({ ...nothing, ...measure(all({})) })).toEqual([
        '1 operations were refused late, the slowest after 2700 ms',
      ]);
    });

    it('do not complain where its process was frozen', () => {
      const frozen = [{ begin: 11_500, end: 13_500, member: 2 }];
      expect(complaints({ ...nothing, ...measure({ ...all({}), frozen }) })).toEqual([]);
    });

    it('tell it, and do not complain, where it was one operation after another', () => {
      const result = measure(all({ longest: 1900 }));
      expect(complaints({ ...nothing, ...result })).toEqual([]);
      expect(result).toMatchObject({ refusalsOver2500Ms: 1, slowestRefusalMs: 2900, slowestRefusedOperationMs: 1900 });
      expect(result.latest).toEqual([expect.objectContaining({ ms: 2900, longestOperationMs: 1900, fault: 'cut' })]);
    });

    it('do not count what the handler was asked to wait for', () => {
      expect(measure(all({ longest: 2100, waited: 800 }))).toMatchObject({
        refusalsOver2500Ms: 0,
        slowestRefusalMs: 2100,
      });
    });
  });

  it('complain about what is held when all is over, and about memory that grows', () => {
    const result = { ...nothing, ...measure(run(() => false)) };
    const growth = [
      { pid: 7, seconds: 90, heapMbPerMinute: 1.5, rssMbPerMinute: 2 },
      { pid: 8, seconds: 90, heapMbPerMinute: 0.5, rssMbPerMinute: 2 },
    ];
    expect(complaints({ ...result, growth, atRest: ['process 1 has 1 busy connections and 0 who wait'] })).toEqual([
      'process 1 has 1 busy connections and 0 who wait',
      'the memory of process 7 grew by 1.5 MB a minute, for 90 s',
    ]);
  });

  it('complain about a fault that failed', () => {
    const faults = [{ name: 'cut', failure: 'nothing was cut' }, { name: 'sweep' }];
    expect(complaints({ ...nothing, ...measure(run(() => false)), faults })).toEqual([
      'the fault cut did not do what it should: nothing was cut',
    ]);
  });

  it('complain about what the database noted', () => {
    const result = { ...nothing, ...measure(run(() => false)), deletedAlive: 1, notes: ['the row of s1 was deleted'] };
    expect(complaints(result)).toEqual([
      '1 sessions were deleted before their expiry, and 0 versions jumped: the row of s1 was deleted',
    ]);
  });

  it('complain about any harm, but not about what a database may lose that waits for no standby', () => {
    const lost = { ...nothing, ...measure(run(() => false)), lost: 2, sentences: ['lost: a', 'lost: b'] };
    expect(complaints(lost)).toEqual(['2 lost: lost: a']);
    expect(complaints(lost, { asynchronous: true })).toEqual([]);
    expect(complaints({ ...lost, crossed: 1 }, { asynchronous: true })).toHaveLength(1);
  });
});

describe('the growth of a process', () => {
  /** A sample every 10 s, of so many megabytes. */
  const samples = (seconds: number, megabytes: (minute: number) => number) =>
    Array.from({ length: seconds / 10 + 1 }, (_, index) => {
      const bytes = megabytes(index / 6) * 2 ** 20;
      return { at: 5000 + index * 10_000, rss: bytes + 50 * 2 ** 20, heapUsed: bytes };
    });

  it('is that of the line through what it has after its first 40 s', () => {
    const warm = samples(160, (minute) => (minute < 0.6 ? 20 : 40 + 3 * minute));
    expect(growthOf(warm)).toMatchObject([{ seconds: 120, heapMbPerMinute: 3, rssMbPerMinute: 3 }]);
    expect(growthOf(warm)[0]!.heapMb).toEqual(warm.map(({ heapUsed }) => Number((heapUsed / 2 ** 20).toFixed(1))));
    expect(growthOf(samples(160, () => 40))).toMatchObject([{ heapMbPerMinute: 0 }]);
  });

  it('is not told of a short life', () => {
    expect(growthOf(samples(90, () => 40))).toEqual([]);
    expect(growthOf([])).toEqual([]);
  });
});
