import { times } from '../arena.mjs';

const RACERS = 3;

/** Several set a key that is absent, each to a value of its own. One is told that it did, and its value stays. */
export async function setIfAbsent(arena) {
  const sessions = await arena.shared();
  const outcomes = [];

  await arena.each(Math.ceil(arena.workers / RACERS), arena.total, async (ticket, random) => {
    const visitor = sessions.of(ticket);
    const key = `key${ticket}`;
    const requests = times(RACERS, (racer) => ({
      operation: 'setIfAbsent',
      body: { key, value: `${ticket} ${racer}` },
    }));
    const answers = await arena.compete(random, visitor.cookie, requests);
    const winners = requests.filter((_, racer) => answers[racer].value === true).map(({ body }) => body.value);
    const isKnown = answers.every(({ status }) => status === 'done');
    outcomes.push({ visitor, key, winners, isKnown });
  });

  return (truth) => {
    const counts = { acknowledged: 0, lost: 0, duplicated: 0, resurrected: 0 };
    for (const { visitor, key, winners, isKnown } of outcomes) {
      if (winners.length > 0) counts.acknowledged += 1;
      counts.duplicated += Math.max(0, winners.length - 1);
      const stored = truth.dataOf(visitor)?.[key];
      if (winners.length > 0 || isKnown) counts.lost += winners.includes(stored) ? 0 : 1;
    }
    counts.resurrected = truth.surplus(sessions.visitors, arena.abandoned);
    return counts;
  };
}
