import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DATABASES } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { openStoreOn, type StoreOn } from '../support/open-store.js';
import { BETTER_SQLITE3 } from '../support/sqlite-database.js';

const ROOT = resolve(import.meta.dirname, '../..');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ENTITIES: Record<string, string> = {
  PostgreSQL: 'SessionEntity',
  MariaDB: 'MysqlSessionEntity',
  MySQL: 'MysqlSessionEntity',
  'an SQLite file': 'SqliteSessionEntity',
};

/** Debian's package libfaketime. */
const FAKETIME = readdirSync('/usr/lib')
  .map((name) => join('/usr/lib', name, 'faketime/libfaketime.so.1'))
  .find((path) => existsSync(path));
if (!FAKETIME) console.warn('Clocks that differ: skipped, as there is no libfaketime');

interface Ref {
  readonly id: string;
  readonly tokenHash: string;
}

/** A process of the application. */
class ClockNode {
  readonly #child: ChildProcess;
  readonly #ended: Promise<readonly [{ error: string }]>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.setMaxListeners(100);
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve([{ error: 'the process has ended' }])));
  }

  static async start(dataSource: object, env: Record<string, string>): Promise<ClockNode> {
    const child = fork(join(import.meta.dirname, 'clock-node.ts'), [JSON.stringify(dataSource)], {
      cwd: ROOT,
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...env },
    });
    const node = new ClockNode(child);
    await node.#next();
    return node;
  }

  async ask<R>(operation: string, details: object = {}): Promise<R> {
    this.#child.send({ operation, ...details });
    return (await this.#next()) as R;
  }

  stop(): void {
    this.#child.disconnect();
  }

  async #next(): Promise<unknown> {
    const next = once(this.#child, 'message') as Promise<[{ answer?: unknown; error?: string }]>;
    const [message] = await Promise.race<readonly [{ answer?: unknown; error?: string }]>([next, this.#ended]);
    if (message.error !== undefined) throw new Error(message.error);
    return message.answer;
  }
}

for (const kind of DATABASES.filter(({ nodes }) => nodes > 1)) {
  if (kind.missing) console.warn(`${kind.name}: skipped, as there is ${kind.missing}`);
  // The clock of a file is that of the machine which all its processes share: there only the zones can differ.
  const hasClock = kind.name !== 'an SQLite file';
  const describeIt = kind.missing || (hasClock && !FAKETIME) ? describe.skip : describe;
  const clocks = hasClock ? ['-1h', '+0', '+1h'] : ['+0', '+0', '+0'];

  describeIt(`[clocks] nodes with clocks ${clocks.join(', ')} and their own time zones in ${kind.name}`, () => {
    let open: StoreOn;
    let nodes: ClockNode[];

    beforeAll(async () => {
      open = await openStoreOn(kind);
      const { driver, ...typeorm } = open.database.typeorm as Record<string, unknown>;
      const dataSource = { ...typeorm, driver: driver && BETTER_SQLITE3, entity: ENTITIES[kind.name] };
      // Zones far apart, one with half an hour, and what a session of the database may be set to.
      const zones = [
        { TZ: 'Pacific/Kiritimati', postgres: 'Asia/Kolkata', database: '+05:30' },
        { TZ: 'UTC', postgres: 'UTC', database: '+00:00' },
        { TZ: 'America/St_Johns', postgres: 'Pacific/Marquesas', database: '-09:30' },
      ];
      nodes = [];
      for (const [index, { TZ, postgres, database }] of zones.entries()) {
        const env = { TZ, PGOPTIONS: `-c TimeZone=${postgres}`, ...(hasClock && clocked(clocks[index]!)) };
        const timeZone = typeorm.type === 'mariadb' || typeorm.type === 'mysql' ? database : undefined;
        nodes.push(await ClockNode.start({ ...dataSource, timeZone }, env));
      }
    }, 60_000);
    afterAll(async () => {
      for (const node of nodes ?? []) node.stop();
      await open?.close();
    });

    const all = <R>(operation: string, details: object = {}) =>
      Promise.all(nodes.map((node) => node.ask<R>(operation, details)));

    it('have clocks and zones that differ, or this proves nothing', async () => {
      const here = Date.now();
      const off = (await all<number>('now')).map((now) => Math.round((now - here) / HOUR));
      expect(off).toEqual(hasClock ? [-1, 0, 1] : [0, 0, 0]);
      expect(new Set(await all<number>('zone')).size).toBe(3);
      if (hasClock) expect(new Set(await all<string>('databaseZone')).size).toBe(3);
    });

    it('agree on who is live, for how long, and when it ends', async () => {
      for (const creator of nodes) {
        const ref = await creator.ask<Ref & { expiresAt: number }>('create', { idleTimeout: 30 * MINUTE });
        const found = await all<Record<string, number | string>>('find', ref);
        for (const one of found) {
          expect(one).toMatchObject({ status: 'live', expiresAt: ref.expiresAt });
          expect(Math.abs(Number(one.absoluteRemaining) - 10 * HOUR)).toBeLessThan(MINUTE);
          expect(Number(one.sinceTouched)).toBeGreaterThanOrEqual(0);
          expect(Number(one.sinceTouched)).toBeLessThan(MINUTE);
        }
        // The database is on this machine: its clock is ours.
        expect(Math.abs(ref.expiresAt - Date.now() - 30 * MINUTE)).toBeLessThan(MINUTE);
      }
    });

    it('agree on who is expired, and clean up nobody else', async () => {
      for (const creator of nodes) {
        const over = await creator.ask<Ref>('create', { idleTimeout: 200 });
        const live = await creator.ask<Ref>('create', { idleTimeout: 30 * MINUTE });
        const isOver = async () => (await creator.ask<{ status: string }>('find', over)).status === 'gone';
        await eventually(isOver);
        expect(await all('find', over)).toEqual(Array(3).fill({ status: 'gone' }));
        expect(await all('touch', over)).toEqual(Array(3).fill(undefined));
        const deleted = await all<number>('deleteExpired');
        expect(deleted.reduce((sum, count) => sum + count, 0)).toBe(1);
        expect(await all('find', live)).toMatchObject(Array(3).fill({ status: 'live' }));
      }
    });

    it('move the expiry to the same moment, and never back', async () => {
      const ref = await nodes[1]!.ask<Ref & { expiresAt: number }>('create', { idleTimeout: 30 * MINUTE });
      let last = ref.expiresAt;
      for (const node of nodes) {
        const { expiresAt } = await node.ask<{ expiresAt: number }>('touch', ref);
        expect(expiresAt).toBeGreaterThanOrEqual(last);
        expect(expiresAt - last).toBeLessThan(MINUTE);
        last = expiresAt;
      }
    });

    it('read the same instants in the columns', async () => {
      for (const creator of nodes) {
        const ref = await creator.ask<Ref & { expiresAt: number }>('create', { idleTimeout: 30 * MINUTE });
        const [first, ...others] = await all<number[]>('times', ref);
        for (const other of others) expect(other).toEqual(first);
        expect(Math.abs(first![0]! - Date.now())).toBeLessThan(MINUTE);
        expect(Math.abs(first![2]! - ref.expiresAt)).toBeLessThan(2);
      }
    });
  });
}

/** Timers go by the monotonic clock, which stays as it is. */
function clocked(offset: string): Record<string, string> {
  return { LD_PRELOAD: FAKETIME!, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}
