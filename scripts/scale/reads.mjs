// The same read of tables of different sizes, in turns.
import { medians, slice, statementsPerRequest, warmUp } from '../bench/measure.mjs';
import { CONNECTIONS } from './site.mjs';

const READ = { scenario: 'read', connections: CONNECTIONS };
const ONCE = { scenario: 'once', connections: CONNECTIONS };

/** @param {import('./site.mjs').Site[]} sites @returns {Promise<object[]>} */
export async function measureReads(sites, { rounds, seconds, warmSeconds }) {
  const results = new Map();
  for (const site of sites) {
    const complaints = [...(await warmUp(site, ONCE, undefined)), ...(await warmUp(site, READ, warmSeconds))];
    const counted = await statementsPerRequest(site, READ);
    results.set(site, {
      statements: counted.statements,
      rounds: [],
      complaints: complaints.concat(counted.complaints),
    });
  }
  for (let round = 0; round < rounds; round++) {
    for (const site of sites) results.get(site).rounds.push(await slice(site, READ, { seconds, warmSeconds }));
  }
  return [...results.values()].map((result) => {
    const complaints = [...result.complaints, ...result.rounds.flatMap((round) => round.complaints)];
    const figures = { ...medians(result.rounds), statements: result.statements };
    return { ...figures, ok: complaints.length === 0, complaints, rounds: result.rounds };
  });
}
