/**
 * Every ticket sets a key that is its own, and with it the key of its loop, which the loop has set before. Others set
 * other keys of the same session at that moment.
 */
export async function set(arena) {
  const sessions = await arena.shared();
  /** By session and key: the values that may be there, and the ticket that is lost where none of them is. */
  const expected = new Map();
  let acknowledged = 0;

  await arena.each(arena.workers, arena.total, async (ticket, random) => {
    const visitor = sessions.of(ticket);
    const values = { [`ticket${ticket}`]: ticket, [`loop${ticket % arena.workers}`]: ticket };
    const { status, mayHaveHappened } = await arena.ask('set', random, visitor.cookie, { values });
    if (status === 'done') acknowledged += 1;
    for (const key of Object.keys(values)) {
      const id = `${visitor.name} ${key}`;
      const before = expected.get(id) ?? { values: [undefined], ticket };
      if (status === 'done') expected.set(id, { visitor, key, values: [ticket], ticket });
      else if (mayHaveHappened) expected.set(id, { ...before, visitor, key, values: [...before.values, ticket] });
    }
  });

  return (truth) => {
    const wrong = [...expected.values()].filter(
      ({ visitor, key, values }) => !values.includes(truth.dataOf(visitor)?.[key]),
    );
    return {
      acknowledged,
      lost: new Set(wrong.map(({ ticket }) => ticket)).size,
      duplicated: 0,
      resurrected: truth.surplus(sessions.visitors, arena.abandoned),
    };
  };
}
