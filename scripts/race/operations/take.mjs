import { sum, times } from '../arena.mjs';

const RACERS = 3;
const keyOf = (ticket) => `nonce${ticket}`;
const valueOf = (ticket) => `value ${ticket}`;

/** Several take the value that was put there for a ticket. One gets it, and then it is gone. */
export async function take(arena) {
  const sessions = await arena.shared((ticket) => ({ [keyOf(ticket)]: valueOf(ticket) }));
  const outcomes = [];

  await arena.each(Math.ceil(arena.workers / RACERS), arena.total, async (ticket, random) => {
    const visitor = sessions.of(ticket);
    const request = { operation: 'take', body: { key: keyOf(ticket) } };
    const requests = times(RACERS, () => request);
    const answers = await arena.compete(random, visitor.cookie, requests);
    const values = answers.filter(({ value }) => value !== undefined).map(({ value }) => value);
    if (values.some((value) => value !== valueOf(ticket))) throw new Error(`take gave what nobody had put there`);
    const isKnown = answers.every(({ status }) => status === 'done');
    outcomes.push({ visitor, key: keyOf(ticket), takers: values.length, isKnown });
  });

  return (truth) => ({
    acknowledged: outcomes.filter(({ takers }) => takers > 0).length,
    lost: outcomes.filter(({ takers, isKnown }) => takers === 0 && isKnown).length,
    duplicated: sum(outcomes.map(({ takers }) => Math.max(0, takers - 1))),
    resurrected: outcomes.filter(({ visitor, key, takers }) => takers > 0 && truth.dataOf(visitor)?.[key] !== undefined)
      .length,
  });
}
