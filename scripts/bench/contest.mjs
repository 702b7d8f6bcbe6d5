// All variants of one platform, side by side and in turns: A B C A B C …
import { Contestant } from './contestants.mjs';
import { medians, slice, statementsPerRequest, warmUp } from './measure.mjs';
import { runs, stores } from './plan.mjs';

/** @returns {Promise<object[]>} the rows, as they go into the JSON */
export async function contest(platform, variants, plan, surroundings) {
  const taking = variants.filter(({ platforms }) => platforms.includes(platform));
  const results = plan.rows.map((row) => {
    const running = taking.filter((variant) => runs(row, variant));
    return new Map(running.map((variant) => [variant, { rounds: [], complaints: [] }]));
  });
  // Two processes of one program differ for as long as they live, so that each variant has several, one after the other.
  for (let server = 1; server <= plan.servers; server++) {
    await compete(platform, taking, plan, { ...surroundings, server }, results);
  }
  return plan.rows.flatMap((row, index) =>
    [...results[index]].map(([variant, result]) => report(row, platform, variant, result)),
  );
}

/** All rows, with a server for each variant that is started for them. */
async function compete(platform, variants, plan, surroundings, results) {
  const { seed, server } = surroundings;
  const contestants = [];
  try {
    for (const variant of variants) {
      contestants.push(await Contestant.start(platform, variant, surroundings));
    }
    const welcomed = new Set();
    for (const [index, row] of plan.rows.entries()) {
      const all = async (step) => {
        for (const contestant of contestants) {
          const result = results[index].get(contestant.variant);
          if (result) await step(contestant, result);
        }
      };
      const crowd = `${row.sessions} ${row.kilobytes}`;
      await all(async (contestant, result) => {
        if (!welcomed.has(crowd)) result.complaints.push(...(await contestant.welcome(row, seed)));
        result.complaints.push(...(await warmUp(contestant, row, plan.firstWarmSeconds)));
        if (server > 1) return;
        const counted = await statementsPerRequest(contestant, row);
        result.complaints.push(...counted.complaints);
        result.statements = counted.statements;
      });
      welcomed.add(crowd);
      for (let round = 0; round < plan.rounds; round++) {
        await all(async (contestant, { rounds }) => rounds.push(await slice(contestant, row, plan)));
      }
      if (stores(row)) {
        await all(async (contestant, { complaints }) => complaints.push(...(await contestant.readBack(row))));
      }
      console.log(`${platform} ${row.scenario}, ${row.connections} connections: servers ${server} of ${plan.servers}`);
    }
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.server.stop()));
  }
}

function report({ does: _, ...row }, platform, variant, { statements, rounds, complaints }) {
  const wrong = [...complaints, ...rounds.flatMap((round) => round.complaints)];
  const figures = rounds.map(({ complaints: _complaints, ...round }) => rounded(round));
  const result = {
    platform,
    variant: variant.name,
    ...row,
    ...rounded({ ...medians(rounds), statements }),
    ok: wrong.length === 0,
    complaints: wrong,
    rounds: figures,
  };
  console.log(
    `${result.ok ? 'ok   ' : 'WRONG'} ${platform} ${row.scenario} ${variant.name}: ${Math.round(result.rps)}/s`,
  );
  return result;
}

const rounded = (figures) =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value * 1000) / 1000]));
