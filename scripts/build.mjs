// Builds the application into dist/. Beside it first, and moved into place when it is whole, so that a process that is
// just starting from dist/ never finds half a build.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moveUnlessThere } from './move-unless-there.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const nest = join(root, 'node_modules/@nestjs/cli/bin/nest.js');
const inputs = [
  'src',
  'libs/session/src',
  'ormconfig.ts',
  'tsconfig.json',
  'tsconfig.build.json',
  'nest-cli.json',
  'package-lock.json',
];

/**
 * @param {{ onlyIfChanged?: boolean, onChild?: (child: import('node:child_process').ChildProcess) => void }} [options]
 */
export async function build({ onlyIfChanged = false, onChild } = {}) {
  const fingerprint = fingerprintOf(inputs);
  if (onlyIfChanged && fingerprint === builtFingerprint()) return;
  const workshop = fs.mkdtempSync(join(root, '.build-'));
  try {
    const config = join(workshop, 'tsconfig.json');
    const settings = { extends: '../tsconfig.build.json', compilerOptions: { outDir: './dist' } };
    fs.writeFileSync(config, JSON.stringify(settings));
    // Nest takes only a path from here.
    const command = [nest, 'build', '-p', relative(root, config)];
    const compiler = spawn(process.execPath, command, { cwd: root, stdio: 'inherit', detached: true });
    onChild?.(compiler);
    const [code] = await once(compiler, 'exit');
    if (code !== 0) throw new Error('the build failed');
    fs.writeFileSync(join(workshop, 'dist/.fingerprint'), fingerprint);
    swapIn(workshop);
  } finally {
    fs.rmSync(workshop, { recursive: true, force: true });
  }
}

/** Two that build at the same time build the same, so it does not matter whose stays. */
function swapIn(workshop) {
  if (fs.existsSync(dist)) moveUnlessThere(dist, join(workshop, 'old'));
  moveUnlessThere(join(workshop, 'dist'), dist);
}

/** Of the contents, since the times of files change with every checkout and copy. */
function fingerprintOf(paths) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn)) hash.update(`${path}\0`).update(fs.readFileSync(join(root, path)));
  return hash.digest('hex');
}

function filesIn(path) {
  if (!fs.statSync(join(root, path)).isDirectory()) return [path];
  const names = fs.readdirSync(join(root, path)).toSorted();
  return names.flatMap((name) => filesIn(`${path}/${name}`));
}

function builtFingerprint() {
  try {
    return fs.readFileSync(join(dist, '.fingerprint'), 'utf8');
  } catch {
    return undefined;
  }
}

if (fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await build();
