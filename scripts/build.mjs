// Builds the application into dist/. Beside it first, and moved into place when it is whole, so that a process that is
// just starting from dist/ never finds half a build.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

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
    fs.writeFileSync(
      config,
      JSON.stringify({ extends: '../tsconfig.build.json', compilerOptions: { outDir: './dist' } }),
    );
    const compiler = spawn(process.execPath, [nest, 'build', '-p', relative(root, config)], {
      cwd: root,
      stdio: 'inherit',
    });
    onChild?.(compiler);
    const [code] = await once(compiler, 'exit');
    if (code !== 0) throw new Error('the build failed');
    fs.writeFileSync(join(workshop, 'dist/.fingerprint'), fingerprint);
    swapIn(workshop);
  } finally {
    fs.rmSync(workshop, { recursive: true, force: true });
  }
}

function swapIn(workshop) {
  if (fs.existsSync(dist)) fs.renameSync(dist, join(workshop, 'old'));
  fs.renameSync(join(workshop, 'dist'), dist);
}

/** Of the contents, since the times of files change with every checkout and copy. */
function fingerprintOf(paths) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn))
    hash
      .update(path)
      .update('\0')
      .update(fs.readFileSync(join(root, path)))
      .update('\0');
  return hash.digest('hex');
}

function filesIn(path) {
  if (!fs.statSync(join(root, path)).isDirectory()) return [path];
  return fs
    .readdirSync(join(root, path))
    .toSorted()
    .flatMap((name) => filesIn(`${path}/${name}`));
}

function builtFingerprint() {
  try {
    return fs.readFileSync(join(dist, '.fingerprint'), 'utf8');
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
