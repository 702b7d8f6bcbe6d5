// What becomes of sessions when there are many: the same read of tables of different sizes, in turns, and the clean-up of
// expired rows while reads run. The application, the sockets and the PostgreSQL are real; the rows are made in SQL, their
// tokens out of a seed.
//
//   npm run scale                          10 thousand, 1 million and 10 million rows: a quarter of an hour, 40 GB of disk
//   npm run scale -- --quick               10 thousand and 200 thousand: a minute on a quiet machine
//   npm run scale -- --touch               what touches and writes cost, by index and fill-factor, instead
//   npm run scale -- --json FILE           and stores the result
//   npm run scale -- --docs                writes the tables of docs/scaling.md from docs/results, and measures nothing
//
//   --rows N,N         these sizes
//   --cleanup N        so many expired rows
//   --visitors N       of each table, spread over all of it
//   --kilobytes N      of each session
//   --seed TEXT        repeats the choices of an earlier run
//   --remark TEXT      of the circumstances, into the result and the document
//   --built            measures the library as it was built last, without building it
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as prettier from 'prettier';
import { start as startPostgres } from './bench/databases/postgres.mjs';
import { startChild } from './bench/rpc.mjs';
import { POOL_SIZE } from './bench/variants.mjs';
import { measureCleanup } from './scale/cleanup.mjs';
import { judge } from './scale/goals.mjs';
import { measureReads } from './scale/reads.mjs';
import { rounded } from './scale/round.mjs';
import { CONNECTIONS, MODULE_OPTIONS, Site } from './scale/site.mjs';
import { documentWith, markdownOf } from './scale/table.mjs';
import { measureTouches } from './scale/touch.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Of a server that has been given the memory for what is in use, and rarely needs a checkpoint that it is not due. */
const SETTINGS = { shared_buffers: '2GB', max_wal_size: '8GB' };
const PLANS = {
  quick: {
    rows: [10_000, 200_000],
    cleanup: 100_000,
    reads: { rounds: 3, seconds: 1, warmSeconds: 0.3 },
    touch: { rows: 5_000, updates: 3_000, rounds: 1 },
  },
  whole: {
    rows: [10_000, 1_000_000, 10_000_000],
    cleanup: 1_000_000,
    reads: { rounds: 5, seconds: 4, warmSeconds: 1 },
    touch: { rows: 30_000, updates: 30_000, rounds: 2 },
  },
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    touch: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    json: { type: 'string' },
    rows: { type: 'string' },
    cleanup: { type: 'string' },
    visitors: { type: 'string', default: '100000' },
    kilobytes: { type: 'string', default: '1' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    remark: { type: 'string' },
    built: { type: 'boolean', default: false },
  },
});

if (values.docs) await writeDocument();
else await run();

async function run() {
  const begin = Date.now();
  const plan = PLANS[values.quick ? 'quick' : 'whole'];
  const commit = describeSource();
  const loadBefore = loadavg()[0];
  if (!values.built || !existsSync(join(root, 'libs/session/dist/esm'))) {
    execFileSync(process.execPath, ['scripts/build-lib.mjs'], { cwd: root, stdio: 'inherit' });
  }
  const database = await startPostgres(SETTINGS);
  let figures;
  try {
    const measured = values.touch
      ? { touches: await measureTouches({ database, seed: values.seed, ...plan.touch }) }
      : await measureScale(database, plan);
    figures = rounded(measured);
  } finally {
    await database.stop();
  }
  const result = {
    date: new Date(begin).toISOString(),
    commit,
    seed: values.seed,
    seconds: Math.round((Date.now() - begin) / 1000),
    cores: availableParallelism(),
    processor: cpus()[0]?.model,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    loadAverage: [loadBefore, loadavg()[0]],
    remark: values.remark,
    versions: { node: process.versions.node },
    database: database.configuration,
    ...figures,
  };
  if (values.json) await store(values.json, JSON.stringify(result));
  console.log(`\n${markdownOf(result)}`);
  const wrong = [...(result.reads ?? []), ...(result.cleanups ?? [])].filter(({ ok }) => !ok);
  for (const { complaints } of wrong) console.error(`WRONG ${complaints.join('; ')}`);
  console.log(`seed ${values.seed}; ${result.seconds} s`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

async function measureScale(database, plan) {
  const generator = startChild('the load generator', new URL('scale/generator.mjs', import.meta.url));
  const [visitors, kilobytes] = ['visitors', 'kilobytes'].map((name) => numberOf(name, values[name]));
  const sizes = values.rows?.split(',').map((text) => numberOf('rows', text)) ?? plan.rows;
  const expired = numberOf('cleanup', values.cleanup ?? plan.cleanup);
  const around = { visitors, database, generator };
  const filling = { kilobytes, seed: values.seed };
  try {
    await generator.hello;
    const sites = [];
    const reads = [];
    try {
      for (const live of sizes) sites.push(await Site.start(`rows_${live}`, { live, ...filling }, around));
      for (const [index, result] of (await measureReads(sites, plan.reads)).entries()) {
        reads.push({ rows: sizes[index], visitors: sites[index].visitors, ...sites[index].sizes, ...result });
      }
    } finally {
      for (const site of sites) await site.drop();
    }
    const cleanups = [];
    for (const layout of ['together', 'scattered']) {
      const site = await Site.start(`expired_${layout}`, { live: expired, expired, layout, ...filling }, around);
      try {
        cleanups.push({ layout, rows: 2 * expired, ...(await measureCleanup(site, plan.reads)) });
      } finally {
        await site.drop();
      }
    }
    return {
      kilobytes,
      connections: CONNECTIONS,
      poolSize: POOL_SIZE,
      options: MODULE_OPTIONS,
      goals: judge({ reads, cleanups }),
      reads,
      cleanups,
    };
  } finally {
    await generator.stop();
  }
}

async function writeDocument() {
  const resultOf = (name) => JSON.parse(readFileSync(join(root, `docs/results/${name}.json`), 'utf8'));
  const file = join(root, 'docs/scaling.md');
  const results = { scale: resultOf('scale'), touch: resultOf('touch') };
  await store(file, documentWith(readFileSync(file, 'utf8'), results));
}

/** As `npm run format:check` wants what is in docs. */
async function store(file, text) {
  const config = await prettier.resolveConfig(file);
  writeFileSync(file, await prettier.format(text, { ...config, filepath: file }));
}

/** A result that was made from more than its commit says so. */
function describeSource() {
  const git = (...words) => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim();
  return git('describe', '--always', '--dirty', '--abbrev=12', '--exclude=*');
}

function numberOf(name, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} takes numbers of 1 or more`);
  return number;
}
