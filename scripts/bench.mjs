// How fast sessions are, ours and others': real servers on real sockets over a real PostgreSQL (and Redis), side by side and
// in turns. The load comes from a process of its own, and compares every answer. What is measured is in bench/plan.mjs,
// who is in bench/variants.mjs.
//
//   npm run bench                              all variants, eight scenarios, both platforms
//   npm run bench -- --quick                   read and write, without the variants that only we ask for: two minutes
//   npm run bench -- --full                    more connections, larger sessions, more of them: hours.
//                                              Tables of millions of rows: npm run scale
//   npm run bench -- --json FILE               and stores the result
//   npm run bench -- --markdown FILE           and the page of it in docs
//
//   --only NAME,NAME   these variants
//   --platform NAME    express or fastify
//   --seconds N        per slice
//   --servers N        of each variant, one after the other, instead of three
//   --seed TEXT        repeats the choices of an earlier run
//   --scenario NAME    this one of the scenarios
//   --profile FOLDER   writes there what each server did while it was measured (as `node --cpu-prof` does), and prints the top
//   --built            measures the library as it was built last, without building it
//
// Redis is the package redis-server of the distribution. The rivals are installed when they are needed for the first time.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as prettier from 'prettier';
import { contest } from './bench/contest.mjs';
import { SERVER_FLAGS } from './bench/contestants.mjs';
import { judge, judgeLatency } from './bench/goals.mjs';
import { installPeers, peerVersions } from './bench/peers.mjs';
import { planOf } from './bench/plan.mjs';
import { startChild } from './bench/rpc.mjs';
import { topOfProfiles } from './bench/profile.mjs';
import { documentOf, markdownOf } from './bench/table.mjs';
import { chooseVariants, POOL_SIZE } from './bench/variants.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const PLATFORMS = ['express', 'fastify'];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    json: { type: 'string' },
    markdown: { type: 'string' },
    only: { type: 'string' },
    platform: { type: 'string' },
    seconds: { type: 'string' },
    servers: { type: 'string' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    built: { type: 'boolean', default: false },
    scenario: { type: 'string' },
    profile: { type: 'string' },
  },
});
const variants = chooseVariants(values);
const plan = planOf({
  ...values,
  seconds: numberOf('seconds', values.seconds),
  servers: countOf('servers', values.servers),
});
const profile = values.profile && resolve(values.profile);
const platforms = PLATFORMS.filter((name) => [undefined, name].includes(values.platform));
if (platforms.length === 0) throw new Error(`--platform is one of ${PLATFORMS.join(', ')}`);

const begin = Date.now();
const commit = describeSource();
const loadBefore = loadavg()[0];
if (!values.built || !existsSync(join(root, 'libs/session/dist/esm'))) {
  execFileSync(process.execPath, ['scripts/build-lib.mjs'], { cwd: root, stdio: 'inherit' });
}
installPeers();

const databases = {};
const rows = [];
const generator = startChild('the load generator', new URL('bench/generator/main.mjs', import.meta.url));
try {
  await generator.hello;
  for (const name of new Set(variants.flatMap(({ database }) => database ?? []))) {
    databases[name] = await (await import(`./bench/databases/${name}.mjs`)).start();
  }
  for (const platform of platforms) {
    rows.push(...(await contest(platform, variants, plan, { databases, generator, seed: values.seed, profile })));
  }
} finally {
  await generator.stop();
  for (const database of Object.values(databases)) await database.stop();
}

if (profile) console.log(`\n${topOfProfiles(profile)}`);
const result = report();
if (values.json) await store(values.json, JSON.stringify(result));
if (values.markdown) await store(values.markdown, documentOf(result));
console.log(`\n${markdownOf(result)}`);
const wrong = rows.filter(({ ok }) => !ok);
for (const { platform, scenario, variant, complaints } of wrong) {
  console.error(`WRONG ${platform} ${scenario} ${variant}: ${complaints.join('; ')}`);
}
console.log(`seed ${values.seed}; ${rows.length} rows in ${Math.round((Date.now() - begin) / 1000)} s`);
process.exitCode = wrong.length > 0 ? 1 : 0;

/** As `npm run format:check` wants what is in docs. */
async function store(file, text) {
  const config = await prettier.resolveConfig(file);
  writeFileSync(file, await prettier.format(text, { ...config, filepath: file }));
}

function report() {
  return {
    date: new Date(begin).toISOString(),
    commit,
    seed: values.seed,
    cores: availableParallelism(),
    processor: cpus()[0]?.model,
    loadAverage: [loadBefore, loadavg()[0]],
    servers: plan.servers,
    rounds: plan.rounds,
    secondsPerSlice: plan.seconds,
    units: {
      appMicros: 'µs per request',
      databaseMicros: 'µs per request',
      p50: 'ms',
      p99: 'ms',
      foreignCores: 'cores',
    },
    versions: { node: process.versions.node, ...ourVersions(), rivals: peerVersions() },
    databases: Object.fromEntries(Object.entries(databases).map(([name, { configuration }]) => [name, configuration])),
    poolSize: POOL_SIZE,
    serverFlags: SERVER_FLAGS,
    configurations: Object.fromEntries(variants.map(({ name, quick: _, ...configuration }) => [name, configuration])),
    goals: judge(rows),
    latencyGoals: judgeLatency(rows),
    rows,
  };
}

function ourVersions() {
  const names = ['@nestjs/core', 'typeorm', 'pg', 'express', 'fastify'];
  const versionOf = (name) =>
    JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
  return Object.fromEntries(names.map((name) => [name, versionOf(name)]));
}

/** A result that was made from more than its commit says so. */
function describeSource() {
  const git = (...words) => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim();
  return git('describe', '--always', '--dirty', '--abbrev=12', '--exclude=*');
}

function numberOf(option, text) {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${option} is a number above 0`);
  return number;
}

function countOf(option, text) {
  const count = numberOf(option, text);
  if (count !== undefined && !Number.isInteger(count)) throw new Error(`--${option} is a whole number above 0`);
  return count;
}
