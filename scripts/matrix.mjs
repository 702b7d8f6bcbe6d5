// Installs the packed library into empty applications, as a stranger would, and keeps a session with it: on each Nest,
// TypeORM, platform and Node that the README names.
//
//   npm run matrix                                    all cells
//   npm run matrix -- --cells nest12,express/node20   those whose names have these parts
//   npm run matrix -- --json docs/results/matrix.json   and stores the result
//   npm run matrix -- --readme                        runs nothing: writes the README's table from the stored result
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { CELLS, chooseCells } from './matrix/cells.mjs';
import { findNode, makeApplication, packLibrary } from './matrix/install.mjs';
import { runCell } from './matrix/run-cell.mjs';
import { withTable } from './matrix/table.mjs';
import { startPostgres } from './postgres.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: { cells: { type: 'string' }, json: { type: 'string' }, readme: { type: 'boolean' } },
});
if (options.readme) writeTable();
else await runMatrix(chooseCells(options.cells));

async function runMatrix(cells) {
  const begin = Date.now();
  // Before it runs: somebody may be editing while it does.
  const source = describeSource();
  const folder = temporaryFolder();
  const tarball = packLibrary(folder);
  console.log(`packed in ${seconds(begin)}`);
  const prepare = preparer(folder, tarball, cells);

  const server = await startPostgres();
  const admin = new pg.Client({ connectionString: server.url });
  const outcomes = [];
  let postgres;
  try {
    await admin.connect();
    postgres = (await admin.query('SHOW server_version')).rows[0].server_version;
    for (const [index, cell] of cells.entries()) {
      await admin.query(`CREATE DATABASE cell_${index}`);
      const databaseUrl = Object.assign(new URL(server.url), { pathname: `/cell_${index}` }).href;
      outcomes.push(await outcomeOf(cell, databaseUrl, prepare));
    }
  } finally {
    await admin.end();
    await server.stop();
  }
  if (options.json) store({ date: new Date(begin).toISOString(), ...source, postgres, cells: outcomes });
  summarize(outcomes, begin);
}

/** @returns what happened, so that the cells that remain run too */
async function outcomeOf(cell, databaseUrl, prepare) {
  let begin = Date.now();
  try {
    const means = await prepare(cell);
    begin = Date.now();
    const versions = await runCell(cell, { ...means, databaseUrl });
    console.log(`ok    ${cell.id} in ${seconds(begin)}: ${print(versions)}`);
    return { ...cell, ok: true, milliseconds: Date.now() - begin, versions };
  } catch (error) {
    console.log(`FAILS ${cell.id} after ${seconds(begin)}: ${error.message}`);
    return { ...cell, ok: false, milliseconds: Date.now() - begin, error: error.message };
  }
}

/** Makes each application and each Node when the first cell needs it. Where that fails, it fails for all who need it. */
function preparer(folder, tarball, cells) {
  const made = new Map();
  const once = (name, make) => {
    if (!made.has(name))
      made.set(
        name,
        timed(name, () => make(join(folder, name))),
      );
    return made.get(name);
  };
  return async ({ nest, typeorm, node }) => {
    const pair = cells.filter((cell) => cell.nest === nest && cell.typeorm === typeorm);
    const platforms = [...new Set(pair.map(({ platform }) => platform))];
    return {
      node: await once(`node${node}`, (place) => findNode(place, node)),
      application: await once(`nest${nest}-typeorm${typeorm}`, (place) =>
        makeApplication(place, tarball, { nest, typeorm }, platforms),
      ),
    };
  };
}

async function timed(name, make) {
  const begin = Date.now();
  const result = make();
  console.log(`made  ${name} in ${seconds(begin)}`);
  return result;
}

/** Gone when we are, however we end, except by SIGKILL. */
function temporaryFolder() {
  // Its real path, which is what the applications see of it.
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'session-matrix-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  return folder;
}

/** Where the package comes from. A result that was made from more than its commit says so. */
function describeSource() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--', 'libs/session') !== '';
  return {
    commit: git('rev-parse', 'HEAD') + (changed ? ' and changes' : ''),
    platform: `${process.platform} ${process.arch}`,
  };
}

function store(result) {
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
}

function writeTable() {
  const readme = join(root, 'README.md');
  const result = JSON.parse(readFileSync(join(root, 'docs/results/matrix.json'), 'utf8'));
  writeFileSync(readme, withTable(readFileSync(readme, 'utf8'), result));
}

function summarize(outcomes, begin) {
  const failed = outcomes.filter(({ ok }) => !ok);
  console.log(`\nRan ${outcomes.length} of ${CELLS.length} cells in ${seconds(begin)}, ${failed.length} failed:`);
  for (const { id, ok } of outcomes) console.log(`${ok ? 'ok   ' : 'FAILS'} ${id}`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

function print(versions) {
  return Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

function seconds(begin) {
  return `${((Date.now() - begin) / 1000).toFixed(1)} s`;
}
