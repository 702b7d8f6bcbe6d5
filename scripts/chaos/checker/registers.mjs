/**
 * Keys that one client sets, one value after the other, each of its own. A read finds the value that was acknowledged
 * last, one that is being written, or one of those that nobody knows of; and each only until another was found.
 */
export function judgeRegisters(name, events, reads, harms) {
  const sets = events.filter(({ op }) => op === 'set');
  for (const key of new Set(sets.map((event) => event.key))) {
    const writes = sets.filter((event) => event.key === key);
    judgeRegister(`${key} of ${name}`, key, writes, reads, harms);
  }
}

function judgeRegister(what, key, writes, reads, harms) {
  const byValue = new Map(writes.map((write) => [write.item, write]));
  const last = reads.at(-1);
  const told = new Set();
  const tell = (harm, item, sentence) => {
    if (told.has(item)) return;
    told.add(item);
    harms.add(harm, sentence);
  };

  /** Values that were found and are over: found, and then another one was. */
  const over = new Map();
  let before;
  for (const read of reads) {
    const found = read.data[key] ?? '';
    if (byValue.get(found)?.outcome === 'refused') tell('duplicated', found, `${what} is ${found}, which was refused`);
    if (!allowed(writes, read).has(found)) {
      const expected = latest(writes, read)?.item;
      // Of which values are possible, only those that were acknowledged last are known to be missing.
      const isForGood = last === read || (last.data[key] ?? '') === found;
      tell(isForGood ? 'lost' : 'stale', expected, `${what} is ${found || 'empty'} and not ${expected}`);
    } else if (over.has(found) && over.get(found) < read.begin) {
      tell('duplicated', found, `${what} was written again with ${found}`);
    }
    if (before && before.found !== found && before.end < read.begin && before.found !== '') {
      over.set(before.found, read.end);
    }
    before = { found, end: read.end };
  }
}

function latest(writes, read) {
  const acknowledged = writes.filter(({ outcome, end }) => outcome === 'ok' && end <= read.begin);
  return acknowledged.reduce((late, write) => (late && late.begin > write.begin ? late : write), undefined);
}

function allowed(writes, read) {
  const last = latest(writes, read);
  const possible = writes.filter(
    ({ outcome, begin, end }) =>
      (outcome === 'unknown' && begin < read.end) ||
      (outcome === 'ok' && begin < read.end && end > read.begin) ||
      // Two that overlap are in either order.
      (outcome === 'ok' && last && begin < last.end && end > last.begin && end <= read.begin),
  );
  return new Set([last?.item ?? '', ...possible.map(({ item }) => item)]);
}
