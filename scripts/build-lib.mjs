// Builds libs/session twice, as ES modules (for Nest 12) and as CommonJS (for Nest 11, and for Jest without ES modules),
// and puts the documents that the package carries beside them. Runs before `npm pack` and `npm publish` too.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

rmSync('libs/session/dist', { recursive: true, force: true });
for (const config of ['tsconfig.lib.json', 'tsconfig.cjs.json']) {
  const build = ['node_modules/@nestjs/cli/bin/nest.js', 'build', 'session', '-p', `libs/session/${config}`];
  execFileSync(process.execPath, build, { stdio: 'inherit' });
}
// The package itself says "module".
writeFileSync('libs/session/dist/cjs/package.json', '{ "type": "commonjs" }\n');

for (const document of ['README.md', 'CHANGELOG.md']) {
  if (existsSync(document)) copyFileSync(document, `libs/session/${document}`);
}
