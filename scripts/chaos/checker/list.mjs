/**
 * A list that grows. What was acknowledged is in it once, in every later read, behind what was acknowledged before it was
 * asked for; what was refused is not in it; and what was read once stays.
 */
export function judgeList(name, key, events, reads, harms) {
  const writes = events.filter((event) => event.key === key && event.item !== undefined);
  const byItem = new Map(writes.map((write) => [write.item, write]));
  const last = reads.at(-1);
  const told = new Set();
  const tell = (harm, item, sentence) => {
    if (told.has(`${harm} ${item}`)) return;
    told.add(`${harm} ${item}`);
    harms.add(harm, `${sentence} in ${key} of ${name}`);
  };

  const seen = new Map();
  for (const read of reads) {
    const list = read.data[key] ?? [];
    const positions = new Map(list.map((item, index) => [item, index]));
    for (const item of list) {
      const write = byItem.get(item);
      if (write?.outcome === 'refused') tell('duplicated', item, `${item} was refused and is`);
      if (list.length !== positions.size && list.filter((other) => other === item).length > 1) {
        tell('duplicated', item, `${item} is twice`);
      }
    }
    for (const { item, outcome, end } of writes) {
      if (outcome !== 'ok' || end > read.begin || positions.has(item)) continue;
      if (last.data[key]?.includes(item)) tell('stale', item, `${item} was not seen for a while`);
      else tell('lost', item, `${item} is missing`);
    }
    for (const [item, end] of seen) {
      if (end > read.begin || positions.has(item) || byItem.get(item)?.outcome === 'ok') continue;
      if (!last.data[key]?.includes(item)) tell('vanished', item, `${item}, never acknowledged, was seen and is gone`);
      else tell('stale', item, `${item} was seen, and then not for a while`);
    }
    for (const item of list) if (!seen.has(item)) seen.set(item, read.end);
  }

  // In which order they are shows at the end.
  const list = last?.data[key] ?? [];
  let latestBegin = -Infinity;
  for (const item of list) {
    const write = byItem.get(item);
    if (write?.outcome !== 'ok') continue;
    if (write.end < latestBegin) tell('stale', item, `${item} stands behind what was asked for after its answer`);
    latestBegin = Math.max(latestBegin, write.begin);
  }
}
