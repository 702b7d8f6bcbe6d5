// A file system of a size of its own, which can be full. Only root can mount one.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class SmallDisk {
  /** @type {string} */ folder;
  #isMounted;

  /**
   * A folder of its own, on a small file system where that is possible.
   *
   * @param {string} size as of mount(8)
   * @param {string} [parent] of the folder
   */
  constructor(size, parent = tmpdir()) {
    this.folder = mkdtempSync(join(parent, 'session-chaos-'));
    this.#isMounted = mount(this.folder, size);
    // A mount outlives us.
    process.once('exit', this.release);
  }

  /** Whether it can be full. */
  get isSmall() {
    return this.#isMounted;
  }

  get bytesLeft() {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** @returns {() => void} makes room again */
  fill() {
    const ballast = join(this.folder, 'ballast');
    const chunk = Buffer.alloc(1 << 20);
    for (let left = this.bytesLeft; left > 0; left = this.bytesLeft) {
      try {
        writeFileSync(ballast, chunk.subarray(0, Math.max(4096, left - (left % 4096))), { flag: 'a' });
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
      }
    }
    return () => rmSync(ballast);
  }

  release = () => {
    process.off('exit', this.release);
    // Lazily: a process that has just ended may have it open for a moment still.
    if (this.#isMounted) execFileSync('umount', ['--lazy', this.folder]);
    rmSync(this.folder, { recursive: true });
  };
}

function mount(folder, size) {
  if (process.getuid?.() !== 0 || process.platform !== 'linux') return false;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
