// The example applications of test/move as two releases: as they were written, and with their move.patch.
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const install = ['--no-audit', '--no-fund', '--loglevel=error'];
const ADDRESS = '127.0.0.1';
const WRITTEN = ['package.json', 'tsconfig.json', 'src', 'test'];

/** Applications of test/move. */
export const EXAMPLES = ['express', 'fastify'];
export const exampleOf = (platform) => join(root, 'test/move', platform);

/** The application as it was written, alone in a folder: no lock file and nothing that was installed. */
export function copyBefore(platform, folder) {
  for (const part of WRITTEN)
    cpSync(join(exampleOf(platform), 'before', part), join(folder, part), { recursive: true });
  return folder;
}

/** The same after the move. */
export function copyAfter(platform, folder) {
  copyBefore(platform, folder);
  // Paths in the patch are those of the two releases side by side. Outside of this repository, whose rules are not meant.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: dirname(folder) };
  execFileSync('git', ['apply', '-p2', join(exampleOf(platform), 'move.patch')], { cwd: folder, env, stdio: 'pipe' });
  return folder;
}

/** Lines that the move adds and removes. */
export function changedLines(before, after) {
  // It ends with 1 where there are differences.
  const { stdout } = diff(['--numstat', before, after]);
  const rows = stdout.trim().split('\n');
  return rows.reduce(
    (sum, row) =>
      sum +
      row
        .split('\t')
        .slice(0, 2)
        .reduce((a, b) => a + Number(b), 0),
    0,
  );
}

/** The difference as git prints it, of two folders side by side. */
export function patchOf(folder, before, after) {
  return diff(['--no-color', before, after], folder).stdout;
}

function diff(args, cwd) {
  try {
    return { stdout: execFileSync('git', ['diff', '--no-index', ...args], { cwd, encoding: 'utf8' }) };
  } catch (error) {
    if (error.status !== 1) throw error;
    return error;
  }
}

/** Installs what the lock file says, and compiles. */
export function buildBefore(platform, folder) {
  copyBefore(platform, folder);
  cpSync(join(exampleOf(platform), 'before/package-lock.json'), join(folder, 'package-lock.json'));
  run('npm', ['ci', ...install], folder);
  compile(folder);
  return folder;
}

/** @param tarball the packed library, which is not on npm yet */
export function buildAfter(platform, folder, tarball) {
  copyAfter(platform, folder);
  const path = join(folder, 'package.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  manifest.dependencies['nestjs-typeorm-session'] = `file:${tarball}`;
  writeFileSync(path, JSON.stringify(manifest));
  cpSync(join(exampleOf(platform), 'before/package-lock.json'), join(folder, 'package-lock.json'));
  run('npm', ['install', ...install], folder);
  compile(folder);
  return folder;
}

function compile(folder) {
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  run(process.execPath, [join(folder, 'node_modules/typescript/bin/tsc'), '--project', folder], folder);
}

/** One process of a release. */
export async function startNode(folder, env) {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: undefined, NODE_ENV: undefined, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (complaints += text));
  const ended = new Promise((resolve) => child.once('exit', resolve)).finally(() => process.off('exit', kill));
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.on('line', (line) => line.startsWith('listening ') && resolve(line.slice('listening '.length)));
    void ended.then(() => reject(new Error(`the application in ${folder} ended:\n${complaints}`)));
  });
  return {
    url: url.replace('[::1]', ADDRESS),
    complaints: () => complaints,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(kill, 10_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs the suite that the application came with. @returns what it printed */
export function runSuite(folder, urls) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined, SHOP_URLS: urls.join(' ') };
    const child = spawn('npm', ['run', 'test:e2e', '--silent'], { cwd: folder, env });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    child.once('exit', (code) => (code === 0 ? resolve(text) : reject(new Error(text))));
  });
}

/** @returns the tarball, as npm would publish it */
export function packLibrary(folder) {
  if (!existsSync(join(root, 'libs/session/dist/esm'))) run('npm', ['run', 'build:lib'], root);
  run(
    'npm',
    ['pack', '--ignore-scripts', '--pack-destination', folder, '--loglevel=error'],
    join(root, 'libs/session'),
  );
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'));
  return join(folder, tarball);
}

/** Silent, unless it fails. */
function run(command, args, cwd) {
  try {
    execFileSync(command, args, { cwd, stdio: 'pipe', encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    throw new Error(`${[command, ...args].join(' ')}\n${error.stdout}${error.stderr}`.trim(), { cause: error });
  }
}
