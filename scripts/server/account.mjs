// The account that a database server runs as, and what that account can get at.
import { spawnSync } from 'node:child_process';
import { chownSync, lchownSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Database servers refuse to run as root: then they run as another account. Otherwise as ours.
 * @param {string[]} names the accounts that may be there, the best first
 */
export function serverAccount(names) {
  if (process.getuid?.() !== 0) return {};
  for (const name of names) {
    const id = (flag) => spawnSync('id', [flag, name], { encoding: 'utf8' });
    const uid = id('-u');
    if (uid.status === 0) return { uid: Number(uid.stdout), gid: Number(id('-g').stdout) };
  }
  throw new Error(`it cannot run as root, and there is no account ${names.join(' or ')}. Set DATABASE_URL`);
}

export function give(path, account) {
  if (account.uid !== undefined) chownSync(path, account.uid, account.gid);
}

export function giveTree(folder, account) {
  if (account.uid === undefined) return;
  give(folder, account);
  for (const path of readdirSync(folder, { recursive: true })) lchownSync(join(folder, path), account.uid, account.gid);
}

/** Tried out, and not derived from the modes of the folders above: groups and access lists count too. */
export function canEnter(folder, account) {
  return account.uid === undefined || spawnSync('test', ['-x', folder], { ...account, cwd: '/' }).status === 0;
}

/** A temporary folder that the account can use; root's own may be closed to it. */
export function publicTmp(account) {
  const folder = [tmpdir(), '/tmp', '/var/tmp'].find((candidate) => canEnter(candidate, account));
  if (!folder) throw new Error('there is no temporary folder that the account of the server can enter');
  return folder;
}
