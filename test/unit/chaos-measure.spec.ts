import { describe, expect, it } from '@jest/globals';
import { measure } from '../../scripts/chaos/measure.mjs';
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

const nothing = { sentences: [], wrong: [], unexpectedExits: [] };
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

  it('complain about a refusal that comes late, but not where its process was frozen', () => {
    const late = { begin: 11_000, end: 13_900, outcome: 'refused', code: '503', member: 2 };
    const all = { ...run(() => false), log: [...requests(() => false), late] };
    expect(complaints({ ...nothing, ...measure(all) })).toEqual(['1 refusals came late, the slowest after 2900 ms']);
    const frozen = [{ begin: 11_500, end: 13_500, member: 2 }];
    expect(complaints({ ...nothing, ...measure({ ...all, frozen }) })).toEqual([]);
  });

  it('complain about any harm, but not about what a database may lose that waits for no standby', () => {
    const lost = { ...nothing, ...measure(run(() => false)), lost: 2, sentences: ['lost: a', 'lost: b'] };
    expect(complaints(lost)).toEqual(['2 lost: lost: a']);
    expect(complaints(lost, { asynchronous: true })).toEqual([]);
    expect(complaints({ ...lost, crossed: 1 }, { asynchronous: true })).toHaveLength(1);
  });
});
