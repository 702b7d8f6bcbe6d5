// Breaks the code on purpose, one line at a time, and expects the tests of that promise to go red.
// A test that stays green with its promise broken is worth nothing; this is how we know.
//
//   npm run breaks              all of them
//   npm run breaks -- 'line 4'  those whose tag begins so
//   npm run breaks -- --one     one of each tag: what CI runs

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findMariadb, startMariadb } from './mariadb.mjs';
import { startPostgres } from './postgres.mjs';

const ROOT = new URL('..', import.meta.url).pathname;
const COPIED = [
  'libs',
  'src',
  'test',
  'scripts',
  'docs/sql',
  'README.md',
  'jest.config.mjs',
  'tsconfig.json',
  'package.json',
];

/** @typedef {{ tag: string, file: string, search: string, replace: string, test: string }} Break */

/** @type {Break[]} `file` is below libs/session/src; `test` is the file that has to go red, in a test that carries `tag`. */
const BREAKS = JSON.parse(readFileSync(join(ROOT, 'test/breaks.json'), 'utf8'));

const { values: options, positionals } = parseArgs({ options: { one: { type: 'boolean' } }, allowPositionals: true });
const [wanted = ''] = positionals;
const isFirst = ({ tag }, index) => BREAKS.findIndex((other) => other.tag === tag) === index;
const breaks = BREAKS.filter(
  (planned, index) => planned.tag.startsWith(wanted) && (!options.one || isFirst(planned, index)),
);
const folder = mkdtempSync(join(tmpdir(), 'session-breaks-'));
const servers = await startServers();
const survivors = [];

try {
  // Whole clusters one after the other: two at once would be slower than what their tests wait for.
  const isHeavy = ({ test }) => /^test\/(clusters|cache|command)\//.test(test);
  const [heavy, light] = [breaks.filter(isHeavy), breaks.filter((planned) => !isHeavy(planned))];
  await Promise.all([work('a', [heavy, light]), work('b', [light])]);
} finally {
  rmSync(folder, { recursive: true, force: true });
  for (const server of servers) await server.stop();
}

console.log(`\n${breaks.length - survivors.length} of ${breaks.length} breaks were noticed`);
process.exitCode = survivors.length > 0 || breaks.length === 0 ? 1 : 0;

/** Takes breaks from the queues until they are empty, in a copy of its own: most of a test's time is waiting. */
async function work(name, queues) {
  const copy = join(folder, name);
  mkdirSync(join(copy, 'docs'), { recursive: true });
  for (const each of COPIED) cpSync(join(ROOT, each), join(copy, each), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const queue of queues) {
    while (queue.length > 0) {
      const planned = queue.shift();
      const red = await run(planned, copy);
      const verdict = red.length > 0 ? 'red  ' : 'GREEN';
      console.log(`${verdict}  [${planned.tag}] ${planned.file}: ${oneLine(planned.replace)}`);
      for (const test of red.slice(0, 1)) console.log(`         ${test}`);
      if (red.length === 0) survivors.push(planned);
    }
  }
}

/** Once for all runs, in the variables that the tests look at. */
async function startServers() {
  const started = [];
  const start = async (variable, startServer) => {
    if (process.env[variable]) return;
    const server = await startServer();
    process.env[variable] = server.url;
    started.push(server);
  };
  await start('TEST_DATABASE_URL', startPostgres);
  if (findMariadb()) await start('TEST_MARIADB_URL', startMariadb);
  return started;
}

/**
 * @param {Break} planned
 * @param {string} copy of the sources, to be broken
 * @returns {Promise<string[]>} the tests carrying the tag that failed
 */
async function run({ tag, file, search, replace, test }, copy) {
  const path = join(copy, 'libs/session/src', file);
  const original = readFileSync(path, 'utf8');
  if (original.split(search).length !== 2) {
    throw new Error(`"${oneLine(search)}" must stand exactly once in ${file}, for the break of [${tag}]`);
  }
  writeFileSync(
    path,
    original.replace(search, () => replace),
  );
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const pattern = tag.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const child = spawn(
    process.execPath,
    [
      ...flags,
      'node_modules/jest/bin/jest.js',
      test,
      '-t',
      `\\[${pattern}\\]`,
      '--json',
      `--outputFile=${report}`,
      '--silent',
      '--forceExit',
    ],
    {
      cwd: copy,
      stdio: 'ignore',
      timeout: 120_000,
    },
  );
  await once(child, 'exit');
  writeFileSync(path, original);
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status, fullName }) => status === 'failed' && fullName.includes(`[${tag}]`))
    .map(({ fullName }) => fullName);
}

/** @param {string} text */
function oneLine(text) {
  return text.trim().replace(/\s+/g, ' ').slice(0, 100) || '(removed)';
}
