// All variants of one platform, side by side and in turns: A B C A B C …
import { Contestant } from './contestants.mjs';
import { medians, slice, statementsPerRequest, warmUp } from './measure.mjs';
import { runs, stores } from './plan.mjs';

/** @returns {Promise<object[]>} the rows, as they go into the JSON */
export async function contest(platform, variants, plan, { seed, ...surroundings }) {
  const contestants = [];
  try {
    for (const variant of variants.filter(({ platforms }) => platforms.includes(platform))) {
      contestants.push(await Contestant.start(platform, variant, surroundings));
    }
    const rows = [];
    const welcomed = new Set();
    for (const row of plan.rows) {
      const running = contestants.filter(({ variant }) => runs(row, variant));
      const results = new Map(running.map((contestant) => [contestant, { rounds: [], complaints: [] }]));
      const all = async (step) => {
        for (const contestant of running) await step(contestant, results.get(contestant));
      };
      const crowd = `${row.sessions} ${row.kilobytes}`;
      await all(async (contestant, { complaints }) => {
        if (!welcomed.has(crowd)) complaints.push(...(await contestant.welcome(row, seed)));
        complaints.push(...(await warmUp(contestant, row, plan.firstWarmSeconds)));
        const counted = await statementsPerRequest(contestant, row);
        complaints.push(...counted.complaints);
        results.get(contestant).statements = counted.statements;
      });
      welcomed.add(crowd);
      for (let round = 0; round < plan.rounds; round++) {
        await all(async (contestant, { rounds }) => rounds.push(await slice(contestant, row, plan)));
      }
      if (stores(row)) {
        await all(async (contestant, { complaints }) => complaints.push(...(await contestant.readBack(row))));
      }
      for (const [contestant, result] of results) rows.push(report(row, contestant, result));
    }
    return rows;
  } finally {
    await Promise.all(contestants.map(({ server }) => server.stop()));
  }
}

function report({ does: _, ...row }, { platform, variant }, { statements, rounds, complaints }) {
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
