/** One counter per session. Every acknowledged increment is in it, and no two were told the same number. */
export async function increment(arena) {
  const sessions = await arena.shared();
  const tellers = new Map(sessions.visitors.map((visitor) => [visitor, { told: [], unknown: 0 }]));

  await arena.each(arena.workers, arena.total, async (ticket, random) => {
    const visitor = sessions.of(ticket);
    const answer = await arena.ask('increment', random, visitor.cookie, { key: 'count' });
    const teller = tellers.get(visitor);
    if (answer.status === 'done') teller.told.push(answer.value);
    else if (answer.mayHaveHappened) teller.unknown += 1;
  });

  return (truth) => {
    const counts = { acknowledged: 0, lost: 0, duplicated: 0, resurrected: 0 };
    for (const [visitor, { told, unknown }] of tellers) {
      const count = truth.dataOf(visitor)?.count ?? 0;
      counts.acknowledged += told.length;
      counts.lost += Math.max(0, told.length - count, told.length - new Set(told).size);
      counts.duplicated += Math.max(0, count - told.length - unknown);
    }
    counts.resurrected = truth.surplus(sessions.visitors, arena.abandoned);
    return counts;
  };
}
