// Packs the library as npm would publish it, and checks that tarball: what is in it, and how it resolves.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'session-pack-'));
const run = (command, args, options) => execFileSync(command, args, { cwd: root, stdio: 'inherit', ...options });

try {
  run('npm', ['pack', '--pack-destination', folder, '--loglevel=warn'], { cwd: join(root, 'libs/session') });
  const tarball = join(folder, readdirSync(folder)[0]);
  checkContents(execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n'));
  run(process.execPath, ['node_modules/publint/src/cli.js', '--strict', tarball]);
  run(process.execPath, ['node_modules/@arethetypeswrong/cli/dist/index.js', tarball]);
  console.log(`${(statSync(tarball).size / 1024).toFixed(1)} KiB packed`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function checkContents(files) {
  const wanted = [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'dist/esm/index.js',
    'dist/cjs/index.js',
    'dist/cjs/package.json',
    'dist/esm/command/main.js',
    'types/express.d.ts',
    'types/express-session.d.ts',
    'types/fastify.d.ts',
  ];
  const missing = wanted.filter((name) => !files.includes(`package/${name}`));
  if (missing.length > 0) throw new Error(`the package lacks ${missing.join(', ')}`);
  const tests = files.filter((name) => /\.spec\.|\.e2e-spec\./.test(name));
  if (tests.length > 0) throw new Error(`the package holds tests: ${tests.join(', ')}`);
}
