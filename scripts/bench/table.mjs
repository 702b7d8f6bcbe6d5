// The result as Markdown.
import { judge, judgeLatency } from './goals.mjs';

const HEAD = [
  'Variant',
  'Requests/s',
  'App CPU µs',
  'of it kernel',
  'DB CPU µs',
  'p50 ms',
  'p99 ms',
  'Statements',
  'Right',
];
const LEAST_IS =
  'A ratio is the median of the ratios of each round. Least: how far one gets without what a session does besides, which is ' +
  '`shared`, and against `bare` it is `bare (guard)`.';
/** From here on it was perhaps not the server that was the limit. */
const GENERATOR_BUSY = 0.9;

/** @returns {string} docs/benchmark.md */
export function documentOf(result) {
  return `# Benchmark

Sessions of this module, of other stores, and none at all, side by side on one machine and in turns: real servers on real
sockets, PostgreSQL ${result.databases.postgres?.server_version} and Redis ${result.databases.redis?.redis_version} that both wait for the disk. One application process,
all with ${result.serverFlags.map((flag) => `\`${flag}\``).join(' ')} ([019](decisions/019-servers-that-wait-for-their-turn.md)); the load comes from a process of its own and
compares every answer. \`ours\` is set up as the README does it, with [functions](databases.md#functions) in PostgreSQL; its variants say
what they do otherwise, and \`prepared\` is with \`preparedStatements: true\`, which calls none. On Express with Node 20 and 22 ours has the
server make requests and responses with Express's prototypes, which makes Express itself quick ([performance.md](performance.md#express)):
\`bare (prototypes)\` is no session with the same, \`bare (guard)\` that and what leads to a session on both platforms (a guard that lets
everybody pass, a parameter, two headers), and \`ours (without prototypes)\` is ours without it. What the figures mean and what was done
about them is in [performance.md](performance.md); the configurations are in [the result](results/bench.json).

\`npm run bench -- --json docs/results/bench.json --markdown docs/benchmark.md\` wrote this page.

${markdownOf(result)}`;
}

/** @returns {string} */
export function markdownOf(result) {
  const titles = new Set(result.rows.map(titleOf));
  return [
    about(result),
    ...[...titles].flatMap((title) => {
      const rows = result.rows.filter((row) => titleOf(row) === title);
      return [`### ${title}`, align([HEAD, ...rows.map(cells)], 1)];
    }),
    ...goals(result.rows),
    ...latencyGoals(result.rows),
    '',
  ].join('\n\n');
}

function titleOf({ platform, scenario, connections, sessions, kilobytes }) {
  const name = { express: 'Express', fastify: 'Fastify' }[platform];
  const size = scenario.endsWith(' KB') ? '' : ` of ${kilobytes} KB`;
  return `${name}: ${scenario}, ${connections} connections, ${sessions} sessions${size}`;
}

function cells({
  variant,
  rps,
  appMicros,
  appSystemMicros,
  databaseMicros,
  p50,
  p99,
  statements,
  ok,
  generatorMicros,
}) {
  const mark = (rps * generatorMicros) / 1e6 > GENERATOR_BUSY ? ' (generator at its limit)' : '';
  const whole = [rps, appMicros, appSystemMicros, databaseMicros].map((number) => number?.toFixed(0) ?? '');
  return [
    variant,
    whole[0] + mark,
    ...whole.slice(1),
    p50.toFixed(2),
    p99.toFixed(2),
    statements.toFixed(2),
    ok ? 'yes' : '**no**',
  ];
}

function about({ date, commit, seed, cores, versions, servers, rounds, secondsPerSlice, loadAverage, rows }) {
  const foreign = rows.map(({ foreignCores }) => foreignCores).toSorted((a, b) => a - b);
  return [
    `Run on ${date.slice(0, 10)} at commit ${commit} (seed ${seed}), ${cores} cores, Node ${versions.node},`,
    `load average ${loadAverage.join(' before and ')} after; medians of ${servers} servers one after the other, ${rounds} rounds of ${secondsPerSlice} s with each.`,
    `Other processes of the machine used ${foreign[foreign.length >> 1]?.toFixed(2)} cores meanwhile (median), at most ${foreign.at(-1)?.toFixed(2)}.`,
  ].join('\n');
}

function goals(rows) {
  const judged = judge(rows);
  if (judged.length === 0) return [];
  const head = ['Platform', 'Scenario', 'Variant', 'Against', 'Requests/s', 'Goal', 'Least', 'App CPU', 'Met'];
  const body = judged.map(({ platform, scenario, variant, against, ratio, goal, leastRatio, cpuRatio, met }) => [
    platform,
    scenario,
    variant,
    against,
    `${ratio.toFixed(2)} x`,
    `${goal} x`,
    leastRatio === undefined ? '' : `${leastRatio.toFixed(2)} x`,
    `${cpuRatio.toFixed(2)} x`,
    met ? 'yes' : 'no',
  ]);
  return ['### Ratios and goals', LEAST_IS, align([head, ...body], 4)];
}

function latencyGoals(rows) {
  const judged = judgeLatency(rows);
  if (judged.length === 0) return [];
  const head = ['Platform', 'Scenario', 'Variant', 'Against', 'Median answer', 'Goal', 'Least', 'Met'];
  const body = judged.map(({ platform, scenario, variant, against, ratio, goal, leastRatio, met }) => [
    platform,
    scenario,
    variant,
    against,
    `${ratio.toFixed(2)} x`,
    `at most ${goal} x`,
    leastRatio === undefined ? '' : `${leastRatio.toFixed(2)} x`,
    met ? 'yes' : 'no',
  ]);
  return ['### One visitor alone', align([head, ...body], 4)];
}

/** As Prettier aligns it, which checks the documents; numbers to the right. */
function align(rows, textColumns) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const pad = (cell, column) => (column < textColumns ? cell.padEnd(widths[column]) : cell.padStart(widths[column]));
  const line = (cell) => `| ${cell.join(' | ')} |`;
  const rule = widths.map((width, column) => (column < textColumns ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const [head, ...body] = rows.map((row) => line(row.map(pad)));
  return [head, line(rule), ...body].join('\n');
}
