import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { DATABASES } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { openStoreOn, type StoreOn } from '../support/open-store.js';
import { BETTER_SQLITE3 } from '../support/sqlite-database.js';

const ROOT = resolve(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'libs/session/src/command/main.ts');
const DATA_SOURCE = join(import.meta.dirname, 'data-source.ts');
const ENTITIES: Record<string, string> = {
  PostgreSQL: 'SessionEntity',
  MariaDB: 'MysqlSessionEntity',
  MySQL: 'MysqlSessionEntity',
  'an SQLite file': 'SqliteSessionEntity',
};

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: string | null; output: string; errors: string }>;
}

const running = new Set<ChildProcess>();

/** What `npx nestjs-typeorm-session` runs, from its source. */
function command(args: readonly string[], dataSource: object = {}): Run {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    cwd: ROOT,
    env: { ...process.env, TEST_DATA_SOURCE: JSON.stringify(dataSource) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  child.stderr.on('data', (chunk) => (errors += String(chunk)));
  const ended = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    return { code: code as number | null, signal: signal as string | null, output, errors };
  });
  return { child, ended };
}

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

for (const kind of DATABASES.filter(({ nodes }) => nodes > 1)) {
  if (kind.missing) console.warn(`${kind.name}: skipped, as there is ${kind.missing}`);
  (kind.missing ? describe.skip : describe)(`[clean-up command] the sessions in ${kind.name}`, () => {
    let open: StoreOn;
    let dataSource: object;

    beforeAll(async () => {
      open = await openStoreOn(kind);
      const { driver, ...typeorm } = open.database.typeorm as Record<string, unknown>;
      dataSource = { ...typeorm, driver: driver && BETTER_SQLITE3, entity: ENTITIES[kind.name] };
    });
    afterEach(async () => {
      await open.dataSource.getRepository(kind.entity).clear();
    });
    afterAll(() => open?.close());

    const cleanUp = (...more: string[]) => command(['cleanup', '--data-source', DATA_SOURCE, ...more], dataSource);

    it('are deleted where they have expired, and no others', async () => {
      await open.create(25, 1);
      const [live] = await open.create(1);
      const { code, output, errors } = await cleanUp('--batch-size', '10').ended;
      expect({ code, output, errors }).toEqual({
        code: 0,
        output: '25 expired sessions deleted.\n',
        errors: expect.any(String),
      });
      expect(await open.count()).toBe(1);
      expect(await open.store.find([live!.tokenHash])).toMatchObject([{ status: 'live' }]);
    }, 60_000);

    it('are shared by commands that run at once: each row once', async () => {
      await open.create(600, 1);
      const outcomes = await Promise.all([1, 2, 3].map(() => cleanUp('--batch-size', '20').ended));
      expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0]);
      const deleted = outcomes.map(({ output }) => parseInt(output, 10));
      expect(deleted.reduce((sum, count) => sum + count, 0)).toBe(600);
      expect(await open.count()).toBe(0);
    }, 60_000);

    it('[clean-up shared] are left in order by one that is killed, and the next goes on', async () => {
      await open.create(800, 1);
      const live = await open.create(20);
      const { child, ended } = cleanUp('--batch-size', '4');
      await eventually(async () => (await open.count()) < 780, 30_000);
      child.kill('SIGKILL');
      expect((await ended).signal).toBe('SIGKILL');
      const left = await open.count();
      expect(left).toBeGreaterThan(20);
      // What it held is free at once: nobody waits for it, and it has deleted whole batches.
      const since = performance.now();
      for (let done = false; !done;)
        done = (await open.store.deleteExpired(1_000)) === 0 && (await open.count()) === 20;
      expect(performance.now() - since).toBeLessThan(10_000);
      const found = await open.store.find(live.map(({ tokenHash }) => tokenHash));
      expect(found.map(({ status }) => status)).toEqual(Array(20).fill('live'));
    }, 60_000);

    it('are left alone after the batch at hand when it is told to stop', async () => {
      await open.create(800, 1);
      const { child, ended } = cleanUp('--batch-size', '4');
      await eventually(async () => (await open.count()) < 790, 30_000);
      child.kill('SIGTERM');
      const { code, output, errors } = await ended;
      expect(code).toBe(1);
      expect(errors).toContain('It was stopped before all were deleted');
      expect(800 - parseInt(output, 10)).toBe(await open.count());
    }, 60_000);
  });
}

describe('[clean-up command] what cannot work', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'session-command-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it.each([
    ['no command', [], /^Name a command/],
    ['another command', ['sweep'], /^There is no command "sweep"/],
    ['no file', ['cleanup'], /^Say where the data source is/],
    ['an option that there is not', ['cleanup', '--dry'], /--dry/],
    ['a number that is none', ['cleanup', '-d', DATA_SOURCE, '--batch-size', '0'], /^--batch-size is "0"/],
    ['a duration that is none', ['cleanup', '-d', DATA_SOURCE, '--deadline', 'soon'], /^--deadline is "soon"/],
    ['a file that is not there', ['cleanup', '-d', 'nowhere.js'], /nowhere\.js cannot be loaded/],
  ])('is a sentence: %s', async (_, args, expected) => {
    const { code, output, errors } = await command(args).ended;
    expect([code, output]).toEqual([1, '']);
    expect(errors).toMatch(expected);
    expect(errors.trim().split('\n')).toHaveLength(1);
  });

  it('is a sentence: a file without a data source, or with two', async () => {
    const none = file('none.mjs', 'export const port = 3000;');
    expect(await command(['cleanup', '-d', none]).ended).toMatchObject({
      code: 1,
      errors: expect.stringContaining('exports no DataSource'),
    });
    const source = '{ initialize() {}, destroy() {}, options: {} }';
    const two = file('two.mjs', `export const one = ${source}; export const other = ${source};`);
    expect(await command(['cleanup', '-d', two]).ended).toMatchObject({
      code: 1,
      errors: expect.stringContaining('more than one DataSource'),
    });
  });

  it('is a sentence: a data source without the entity, or a database that is away', async () => {
    const sqlJs = { type: 'sqljs' };
    expect(await command(['cleanup', '-d', DATA_SOURCE], sqlJs).ended).toMatchObject({
      code: 1,
      errors: expect.stringContaining('has no session entity'),
    });
    const away = { type: 'postgres', url: 'postgres://nobody:canary-secret@127.0.0.1:1/none', entity: 'SessionEntity' };
    const { code, errors } = await command(['cleanup', '-d', DATA_SOURCE], away).ended;
    expect([code, errors]).toEqual([1, expect.stringContaining('ECONNREFUSED')]);
    expect(errors).not.toContain('canary');
    const noTable = { type: 'sqljs', entity: 'SqliteSessionEntity' };
    expect(await command(['cleanup', '-d', DATA_SOURCE], noTable).ended).toMatchObject({
      code: 1,
      errors: expect.stringContaining('no such table'),
    });
  });

  it('is help, for who asks', async () => {
    const { code, output } = await command(['--help']).ended;
    expect([code, output]).toEqual([0, expect.stringContaining('--data-source')]);
  });
});
