// One file, which all processes open, where root can mount one on a small file system of its own, which gets full.
import { createRequire } from 'node:module';
import { start as startFile } from '../../race/databases/sqlite.mjs';
import { auditTriggers } from './audit-triggers.mjs';
import { sleep } from '../faults/tools.mjs';
import { SmallDisk } from './small-disk.mjs';

const SIZE = '512m';

export function start() {
  const disk = new SmallDisk(SIZE);
  const file = startFile(disk.folder);
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
      ...(disk.isSmall && {
        async 'disk-full'({ between }) {
          const makeRoom = disk.fill();
          await sleep(between(2000, 4000));
          const left = disk.bytesLeft;
          makeRoom();
          if (left > 0) throw new Error(`there were ${left} bytes left`);
          return 'its file system had no byte left';
        },
      }),
    },
    skipped: disk.isSmall ? {} : { 'disk-full': 'only root can mount a file system that gets full' },
    async stop() {
      file.stop({ keepsFolder: true });
      disk.release();
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
