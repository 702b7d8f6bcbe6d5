// Runs the application of one cell, as two processes over one database, and looks what they did and what they were.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { AXES } from './cells.mjs';
import { check } from './check.mjs';
import { keepALegacySession } from './visit-legacy.mjs';
import { keepASession } from './visit.mjs';

const startDeadline = 60_000;
const stopDeadline = 10_000;

/**
 * @param {import('./cells.mjs').Cell} cell
 * @param {{ application: string, node: string, databaseUrl: string }} means the folder, the program, an empty database
 * @returns {Promise<Record<string, string>>} the versions that ran
 */
export async function runCell(cell, { application, node, databaseUrl }) {
  const database = new pg.Client({ connectionString: databaseUrl });
  const processes = [];
  const start = async (program = cell.platform) => {
    const child = spawn(node, [join(application, `${program}.js`)], {
      cwd: application,
      // NODE_OPTIONS may hold a loader that is meant for us, and NODE_ENV=production would rename the cookie.
      env: { ...process.env, NODE_OPTIONS: undefined, NODE_ENV: undefined, DATABASE_URL: databaseUrl },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    processes.push(watch(child));
    return listening(processes.at(-1));
  };
  try {
    await database.connect();
    // The first runs the migration, and the second finds it done.
    const urls = [await start(), await start()];
    await keepASession(urls, async () => Number((await database.query('SELECT count(*) FROM sessions')).rows[0].count));
    const reports = await Promise.all(
      urls.map(async (url) => (await fetch(`${url}/loaded`, { signal: AbortSignal.timeout(10_000) })).json()),
    );
    const [versions, same] = reports.map((report) => versionsOf(cell, report));
    check('what the second process runs', same, versions);
    if (cell.platform === 'express') {
      const plain = await start('plain');
      await keepALegacySession([...urls, plain]);
      await checkPlain(cell, plain);
    }
    await Promise.all(processes.map(stop));
    return versions;
  } finally {
    for (const { child, complaints } of processes) {
      child.kill('SIGKILL');
      process.stderr.write(complaints());
    }
    await database.end();
  }
}

/** The process without Nest has loaded nothing of it, and the TypeORM of the cell. */
async function checkPlain(cell, url) {
  const { packages, builds } = await (await fetch(`${url}/loaded`, { signal: AbortSignal.timeout(10_000) })).json();
  const nest = packages.filter(({ name }) => name.startsWith('@nestjs/'));
  check('what the program without Nest loaded of it', nest, []);
  const [{ version }] = packages.filter(({ name }) => name === 'typeorm');
  check('its version of TypeORM', version.startsWith(cell.typeorm), true);
  check('how many builds of the library it loaded', builds.length, 1);
}

function watch(child) {
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(child, 'exit').finally(() => process.off('exit', kill));
  // A program that is not there is noticed where it does not listen.
  exited.catch(() => undefined);
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (complaints += text));
  return { child, exited, complaints: () => complaints };
}

async function listening({ child, complaints }) {
  const timer = setTimeout(() => child.kill('SIGKILL'), startDeadline);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('listening ')) return line.slice('listening '.length);
    }
  } finally {
    clearTimeout(timer);
    // Reading it line by line has ended, and a pipe that nobody reads fills up.
    child.stdout.resume();
  }
  throw new Error(`the application ended before it listened\n${complaints()}`.trim());
}

/** As a deployment does it. */
async function stop({ child, exited }) {
  const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadline);
  child.kill('SIGTERM');
  const [code, signal] = await exited;
  clearTimeout(timer);
  // Nest runs its shutdown hooks and then sends itself the signal once more; without Nest it is the end at once.
  check('its end after SIGTERM', [code, signal], [null, 'SIGTERM']);
}

/**
 * A cell that ran something else than it says proves nothing, and what npm and Node find is for them to decide. So the
 * application tells what it has loaded.
 */
function versionsOf(cell, { node, packages, builds }) {
  const versionOf = (name) => {
    const found = packages.filter((loaded) => loaded.name === name).map(({ version }) => version);
    check(`how often ${name} was loaded`, found.length, 1);
    return found[0];
  };
  const expectedVersions = {
    '@nestjs/common': cell.nest,
    '@nestjs/core': cell.nest,
    [`@nestjs/platform-${cell.platform}`]: cell.nest,
    '@nestjs/typeorm': cell.nest,
    typeorm: cell.typeorm,
  };
  const begin = (version, wanted) => version.split('.').slice(0, wanted.split('.').length).join('.');
  check('the version of Node', begin(node, cell.node), cell.node);
  for (const [name, wanted] of Object.entries(expectedVersions)) {
    check(`the version of ${name}`, begin(versionOf(name), wanted), wanted);
  }
  const platforms = AXES.platform.filter((name) =>
    packages.some((loaded) => loaded.name === `@nestjs/platform-${name}`),
  );
  check('the platforms that were loaded', platforms, [cell.platform]);
  // Two copies of the library would be two Session classes.
  check('how many builds of the library were loaded', builds.length, 1);
  const names = [...Object.keys(expectedVersions), cell.platform, 'pg', 'nestjs-typeorm-session'];
  return { node, ...Object.fromEntries(names.map((name) => [name, versionOf(name)])), build: builds[0] };
}
