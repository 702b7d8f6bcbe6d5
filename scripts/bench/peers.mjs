// The rivals have a folder and a lock file of their own: they are no dependencies of ours, and connect-typeorm gets the
// TypeORM 0.3 that it asks for.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const peersFolder = fileURLToPath(new URL('peers/', import.meta.url));

export const peer = createRequire(peersFolder);

export function installPeers() {
  if (existsSync(join(peersFolder, 'node_modules/.package-lock.json'))) return;
  console.log('installing the rivals');
  const install = ['ci', '--prefix', peersFolder, '--ignore-scripts', '--no-audit', '--no-fund'];
  execFileSync('npm', install, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** @returns {Record<string, string>} what is installed of what package.json names */
export function peerVersions() {
  const read = (path) => JSON.parse(readFileSync(join(peersFolder, path), 'utf8'));
  const names = Object.keys(read('package.json').dependencies);
  return Object.fromEntries(names.map((name) => [name, read(`node_modules/${name}/package.json`).version]));
}
