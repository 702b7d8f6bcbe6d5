import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { changedLines, copyAfter, copyBefore, exampleOf, EXAMPLES, patchOf } from '../../scripts/move/release.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const GUIDE = readFileSync(join(ROOT, 'docs/migration.md'), 'utf8');

/** Lines that the move may add and remove, together. */
const MOST = 15;

const folder = mkdtempSync(join(tmpdir(), 'guide-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Without what git adds for machines, and the blank of an empty line, which Prettier takes away. */
function readable(patch: string): string {
  return patch
    .split('\n')
    .filter((line) => !/^(diff --git|index |new file mode)/.test(line))
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}

describe.each(EXAMPLES)('the move of the application on %s', (example) => {
  const home = join(folder, example);
  const [before, after] = [copyBefore(example, join(home, 'before')), copyAfter(example, join(home, 'after'))];
  const patch = readFileSync(join(exampleOf(example), 'move.patch'), 'utf8');

  it(`takes at most ${MOST} lines`, () => {
    expect(changedLines(before, after)).toBeLessThanOrEqual(MOST);
    expect(changedLines(before, after)).toBeGreaterThan(5);
  });

  it('is what the guide shows', () => {
    const shown = new RegExp(`<!-- move: ${example} -->\\n\\n\`\`\`diff\\n([^]*?)\\n\`\`\``).exec(GUIDE)?.[1];
    expect(shown).toBe(readable(patch));
    expect(patchOf(home, 'before', 'after')).toBe(patch);
  });

  it('is formatted', () => {
    const prettier = join(ROOT, 'node_modules/prettier/bin/prettier.cjs');
    const args = [prettier, '--check', '--config', join(ROOT, '.prettierrc'), before, after];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toContain('All matched files');
  });

  it('leaves its suite alone', () => {
    expect(patch).not.toContain('/test/');
  });
});
