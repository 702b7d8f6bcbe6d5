/**
 * Every ticket puts an item that is its own into the list of a session. What was acknowledged is there once; what was
 * refused is not there, unless nobody can know.
 */
export async function collect(arena, put) {
  const sessions = await arena.shared();
  const outcomes = [];

  await arena.each(arena.workers, arena.total, async (ticket, random) => {
    const visitor = sessions.of(ticket);
    const { status, mayHaveHappened } = await put(visitor.cookie, ticket, random);
    outcomes.push({ visitor, item: ticket, isDone: status === 'done', mayHaveHappened });
  });

  return (truth) => {
    const counts = { acknowledged: 0, lost: 0, duplicated: 0, resurrected: 0 };
    for (const { visitor, item, isDone, mayHaveHappened } of outcomes) {
      const found = (truth.dataOf(visitor)?.items ?? []).filter((other) => other === item).length;
      if (isDone) counts.acknowledged += 1;
      if (isDone && found === 0) counts.lost += 1;
      counts.duplicated += Math.max(0, found - (mayHaveHappened ? 1 : 0));
    }
    counts.resurrected = truth.surplus(sessions.visitors, arena.abandoned);
    return counts;
  };
}
