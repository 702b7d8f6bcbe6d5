import { times } from '../arena.mjs';

const LATE = 3;

/** What a request that is under way may do to its session when that has ended. */
const writes = [
  { operation: 'set', body: { values: { late: true } } },
  { operation: 'increment', body: { key: 'lateCount' } },
  { operation: 'append', body: { key: 'lateItems', item: true } },
  { operation: 'update', body: { key: 'lateItems', item: true } },
  { operation: 'setIfAbsent', body: { key: 'lateFirst', value: true } },
];
/** If it comes before the end, the session lives on under the new token, and rightly. */
const regenerate = { operation: 'regenerate' };

/**
 * A session ends while requests have it loaded. They write at the same moment or, by the toss of a coin, when its end
 * has been acknowledged. It must not come back, and a write that comes after its end must not be acknowledged.
 */
export async function destroy(arena) {
  const ended = [];
  const others = [];
  let lost = 0;

  await arena.each(Math.ceil(arena.workers / LATE), arena.total, async (_, random) => {
    const visitor = await arena.arrive(random);
    const isAfter = random.coin();
    const kinds = isAfter ? [...writes, regenerate] : writes;
    const requests = times(LATE, () => ({ ...random.pick(kinds), rightly: ['SESSION_GONE'] }));
    const late = await arena.meet(random, visitor.cookie, requests);
    if (!isAfter) late.open();
    const { status } = await arena.ask('destroy', random, visitor.cookie);
    late.open();
    const answers = await late.answers;
    if (status !== 'done') {
      others.push(visitor);
      return;
    }
    if (isAfter) lost += answers.filter((answer) => answer.status === 'done').length;
    const { value = {} } = await arena.ask('read', random, visitor.cookie);
    ended.push({ ...visitor, isSeen: Object.keys(value).length > 0 });
  });

  return (truth) => {
    const back = ended.filter((visitor) => visitor.isSeen || truth.dataOf(visitor) || truth.named(visitor).length > 0);
    const known = [...ended, ...others, ...arena.abandoned].flatMap((visitor) => truth.named(visitor));
    const datas = new Set([...known.map(({ data }) => data), ...back.map((visitor) => truth.dataOf(visitor))]);
    // A row that has lost its name is nobody's, and came after the end of a session.
    const strangers = truth.rows.filter(({ data }) => !datas.has(data));
    return { acknowledged: ended.length, lost, duplicated: 0, resurrected: back.length + strangers.length };
  };
}
