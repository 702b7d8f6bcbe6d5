/** Values that are put there once and taken once, by one of several who ask at the same time. */
export function judgeNonces(name, events, reads, harms) {
  const puts = events.filter(({ op }) => op === 'put');
  const takes = events.filter(({ op }) => op === 'take');
  for (const put of puts) {
    const { item, key } = put;
    const rivals = takes.filter((take) => take.key === key);
    const takers = rivals.filter(({ outcome, value }) => outcome === 'ok' && value === item);
    for (let surplus = 1; surplus < takers.length; surplus++) {
      harms.add('duplicated', `${item} was taken ${takers.length} times`);
    }
    const [taker] = takers;
    const isBack = reads.some(({ begin, data }) => taker && taker.end < begin && data[key] === item);
    if (isBack) harms.add('resurrected', `${item} was taken and is there again`);
    const unknown = rivals.some(({ outcome }) => outcome === 'unknown');
    const empty = rivals.filter(
      ({ outcome, begin, owner, value }) =>
        outcome === 'ok' && owner === name && put.end <= begin && (value === undefined || value === null),
    );
    if (put.outcome === 'ok' && !taker && !unknown && empty.length > 0) {
      harms.add('lost', `${item} was put there, and nobody could take it`);
    }
    if (put.outcome === 'refused' && taker) harms.add('duplicated', `${item} was refused and could be taken`);
  }
}
