// What a cell needs before it can run: the packed library, an application that has it installed, a Node to run it.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const stranger = fileURLToPath(new URL('stranger', import.meta.url));
const install = ['install', '--no-audit', '--no-fund', '--loglevel=error'];

/** Nest 12 is ES modules. On Nest 11 most applications are CommonJS, and load what we build for them. */
const MODULES = {
  11: { type: 'commonjs', resolution: 'node16' },
  12: { type: 'module', resolution: 'nodenext' },
};

/** The oldest and the newest that our store for it runs on. */
const EXPRESS_SESSION = { 11: '1.17', 12: '1' };

/** @returns the tarball, as npm would publish it */
export function packLibrary(folder) {
  run('npm', ['pack', '--pack-destination', folder, '--loglevel=error'], join(root, 'libs/session'));
  return join(
    folder,
    readdirSync(folder).find((file) => file.endsWith('.tgz')),
  );
}

/**
 * An application as a stranger would have it: outside of this checkout, with the tarball and what that says it needs, and
 * none of its optional peers except the driver. It has the adapters of these platforms and no other.
 *
 * @param {{ nest: string, typeorm: string }} pair
 * @param {string[]} platforms
 * @returns the folder
 */
export function makeApplication(folder, tarball, { nest, typeorm }, platforms) {
  const { type, resolution } = MODULES[nest];
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type }));
  const packages = ['common', 'core', 'typeorm', ...platforms.map((platform) => `platform-${platform}`)];
  const nestPackages = packages.map((name) => `@nestjs/${name}@${nest}`);
  const others = [`typeorm@${typeorm}`, 'pg', 'rxjs', 'reflect-metadata', '@types/node@20', '@types/express@5'];
  if (platforms.includes('express'))
    others.push('express@5', `express-session@${EXPRESS_SESSION[nest]}`, '@types/express-session');
  run('npm', [...install, ...nestPackages, ...others, tarball], folder);

  cpSync(stranger, folder, { recursive: true });
  const compilerOptions = {
    module: resolution,
    moduleResolution: resolution,
    target: 'es2022',
    types: ['node'],
    strict: true,
    // The packed declarations are checked too.
    skipLibCheck: false,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
  };
  const files = platforms.flatMap((platform) =>
    platform === 'express' ? ['express.ts', 'plain.ts'] : [`${platform}.ts`],
  );
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--project', folder], folder);
  return folder;
}

/** The newest Node of this major version, or the running one. @returns its program */
export function findNode(folder, major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  mkdirSync(folder);
  // This package is the bare program. The package named node would fetch it in an install script.
  const name = `node-${process.platform}-${process.arch}`;
  run('npm', [...install, '--prefix', folder, `${name}@${major}`], folder);
  return join(folder, 'node_modules', name, 'bin/node');
}

/** Silent, unless it fails. */
function run(command, args, cwd) {
  try {
    execFileSync(command, args, { cwd, stdio: 'pipe', encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    throw new Error(`${[command, ...args].join(' ')}\n${error.stdout}${error.stderr}`.trim());
  }
}
