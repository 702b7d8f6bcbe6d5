import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What was measured: the commit, and whether something differs from it. */
export function commitOf() {
  const words = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
  return execFileSync('git', words, { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' }).trim();
}
