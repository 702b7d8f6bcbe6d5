// One file, which all processes open, where root can mount one on a small file system of its own, which gets full.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start as startFile } from '../../race/databases/sqlite.mjs';
import { auditTriggers } from './audit-triggers.mjs';
import { sleep } from '../faults/tools.mjs';

const SIZE = '512m';

export function start() {
  const folder = mkdtempSync(join(tmpdir(), 'session-chaos-'));
  const isMounted = mount(folder);
  const release = () => {
    process.off('exit', release);
    // Lazily: the processes of the application may have it open for a moment still.
    if (isMounted) execFileSync('umount', ['--lazy', folder]);
    rmSync(folder, { recursive: true });
  };
  // A mount outlives us.
  process.once('exit', release);
  const file = startFile(folder);
  // Nobody else may wait for us, nor we for a lock that a fault holds.
  const query = async (sql) => file.query(sql);
  return {
    family: 'sqlite',
    location: file.location,
    version: () => file.version,
    rows: () => query('SELECT data FROM sessions'),
    async forget() {
      for (const table of ['sessions', 'session_audit']) await query(`DELETE FROM ${table}`);
    },
    async watch() {
      for (const sql of auditTriggers.sqlite) await query(sql);
    },
    noted: () => query('SELECT what, owner, detail FROM session_audit'),
    async addExpired(count, expiry) {
      for (let done = 0; done < count; done += 2000) {
        await query(
          `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${Math.min(2000, count - done)})
           INSERT INTO sessions (id, token_hash, data, version, created_at, touched_at, expires_at, absolute_expires_at,
             idle_timeout, persistent, last_write)
           SELECT lower(hex(randomblob(16))), lower(hex(randomblob(32))), '{"owner":"expired"}', 1, ${expiry}, ${expiry}, ${expiry}, ${expiry}, 1000, 1, lower(hex(randomblob(16))) FROM n`,
        );
        // Here it is the thread that waits for the disk, and it has clients to look after.
        await sleep(5);
      }
    },
    hasExpired: async (expiry) =>
      (await query(`SELECT 1 FROM sessions WHERE expires_at = ${expiry} LIMIT 1`)).length > 0,
    countExpired: async () =>
      (await query(`SELECT count(*) AS n FROM sessions WHERE data = '{"owner":"expired"}'`))[0].n,
    faults: {
      /** Somebody else, such as a backup, has the file for himself. */
      async locked({ between }) {
        const other = open(file.location);
        other.exec('BEGIN IMMEDIATE');
        await sleep(between(1000, 3000));
        const isLocked = refusalOf(file.location) === 'SQLITE_BUSY';
        other.exec('ROLLBACK');
        other.close();
        if (!isLocked) throw new Error('another connection could write');
        return 'another connection was refused with SQLITE_BUSY';
      },
      ...(isMounted && {
        async 'disk-full'({ between }) {
          const ballast = join(folder, 'ballast');
          fill(ballast, folder);
          await sleep(between(2000, 4000));
          const left = bytesLeft(folder);
          rmSync(ballast);
          if (left > 0) throw new Error(`there were ${left} bytes left`);
          return 'its file system had no byte left';
        },
      }),
    },
    skipped: isMounted ? {} : { 'disk-full': 'only root can mount a file system that gets full' },
    async stop() {
      file.stop({ keepsFolder: true });
      release();
    },
  };
}

function open(location) {
  const Database = createRequire(new URL('../../race/sqlite/', import.meta.url))('better-sqlite3');
  return new Database(location, { timeout: 0 });
}

function refusalOf(location) {
  const connection = open(location);
  try {
    connection.exec('BEGIN IMMEDIATE; ROLLBACK');
  } catch (error) {
    return error.code;
  } finally {
    connection.close();
  }
}

function mount(folder) {
  if (process.getuid?.() !== 0 || process.platform !== 'linux') return false;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const bytesLeft = (folder) => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

function fill(path, folder) {
  const chunk = Buffer.alloc(4096);
  for (let left = bytesLeft(folder); left > 0; left = bytesLeft(folder)) {
    try {
      writeFileSync(path, left > 1 << 20 ? Buffer.alloc(left - (left % 4096)) : chunk, { flag: 'a' });
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    }
  }
}
