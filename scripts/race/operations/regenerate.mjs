import { sum, times } from '../arena.mjs';

const RACERS = 3;
const STORMS = 4;
const replaced = ['SESSION_REPLACED'];

/**
 * Several holders of one cookie regenerate its session at once, while another appends to it; then the same with the
 * successor's cookie. Of each storm there is one successor, the tokens before are dead, the session is still one row,
 * and what was acknowledged is in it.
 */
export async function regenerate(arena) {
  const chains = [];

  await arena.each(Math.ceil(arena.workers / (RACERS + 1)), Math.ceil(arena.total / STORMS), async (ticket, random) => {
    const visitor = await arena.arrive(random, { ticket });
    const chain = { ...visitor, ticket, storms: [], items: [], isKnown: true };
    chains.push(chain);
    for (let storm = 0; storm < STORMS && chain.isKnown; storm++) await weather(arena, chain, storm, random);
  });

  return (truth) => {
    const counts = { acknowledged: 0, lost: 0, duplicated: 0, resurrected: 0 };
    for (const chain of chains) {
      counts.acknowledged += chain.storms.filter(({ successors }) => successors > 0).length;
      if (chain.isKnown) counts.lost += lostOf(chain, truth);
      counts.resurrected += chain.storms.filter(({ cookie, isSeen }) => isSeen || truth.dataOf({ cookie })).length;
    }
    // A second successor has a row of its own, or has taken that of the first.
    const seconds = chains.flatMap(({ storms }) => storms.map(({ successors }) => Math.max(0, successors - 1)));
    counts.duplicated = Math.max(sum(seconds), truth.surplus(chains, arena.abandoned));
    return counts;
  };
}

/** One storm: leaves the successor's cookie in the chain. */
async function weather(arena, chain, storm, random) {
  const { cookie } = chain;
  const [answers, appended] = await Promise.all([
    arena.compete(
      random,
      cookie,
      times(RACERS, () => ({ operation: 'regenerate', rightly: replaced })),
    ),
    arena.ask('append', random, cookie, { key: 'items', item: storm }, replaced),
  ]);
  const successors = answers.filter(({ status }) => status === 'done');
  if (successors.some((successor) => successor.cookie === undefined))
    throw new Error('a new token came without a cookie');
  chain.items.push({ item: storm, ...appended });
  // Whose answer was lost may have the successor's cookie, and nobody can go on with it.
  chain.isKnown = answers.every(({ status }) => status !== 'refused');
  if (successors.length === 0) {
    chain.storms.push({ cookie, successors: 0, isSeen: false });
    return;
  }
  chain.cookie = successors[0].cookie;
  const { value = {} } = await arena.ask('read', random, cookie);
  chain.storms.push({ cookie, successors: successors.length, isSeen: Object.keys(value).length > 0 });
}

/** The session itself, its first value, acknowledged items, and storms that nobody came out of. */
function lostOf(chain, truth) {
  const data = truth.dataOf(chain) ?? {};
  const wrongItems = chain.items.filter(({ item, status, mayHaveHappened }) => {
    const found = (data.items ?? []).filter((other) => other === item).length;
    return status === 'done' ? found !== 1 : found > (mayHaveHappened ? 1 : 0);
  });
  const isLost = data.name !== chain.name || data.ticket !== chain.ticket;
  return wrongItems.length + (isLost ? 1 : 0) + chain.storms.filter(({ successors }) => successors === 0).length;
}
