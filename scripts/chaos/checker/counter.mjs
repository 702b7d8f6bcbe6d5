/** A counter: at least what was acknowledged before it was read, at most what had been asked for by then. */
export function judgeCounter(name, events, reads, harms) {
  const increments = events.filter(({ op }) => op === 'increment');
  if (increments.length === 0) return;
  const acknowledged = increments.filter(({ outcome }) => outcome === 'ok');
  const told = acknowledged.map(({ begin, end, value }) => ({ begin, end, count: value, isAnswer: true }));
  const read = reads.map(({ begin, end, data }) => ({ begin, end, count: data.count ?? 0 }));

  let worstLoss = 0;
  let worstSurplus = 0;
  let isStale = false;
  const last = read.at(-1);
  for (const each of [...told, ...read]) {
    const { begin, end, count, isAnswer } = each;
    const before = acknowledged.filter((other) => other.end < begin).length + (isAnswer ? 1 : 0);
    const atMost = increments.filter((other) => other.outcome !== 'refused' && other.begin < end).length;
    const missing = before - count;
    if (missing > 0 && each !== last && last && last.count >= acknowledged.length) isStale = true;
    else worstLoss = Math.max(worstLoss, missing);
    worstSurplus = Math.max(worstSurplus, count - atMost);
  }
  const values = acknowledged.map(({ value }) => value);
  worstLoss = Math.max(worstLoss, values.length - new Set(values).size);
  for (let n = 0; n < worstLoss; n++) harms.add('lost', `an increment of ${name} is missing`);
  for (let n = 0; n < worstSurplus; n++) harms.add('duplicated', `an increment of ${name} counts twice`);
  if (isStale) harms.add('stale', `the counter of ${name} was behind for a while`);
}
