import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import pg from 'pg';
import { describeEngine } from '../support/engines.js';

const ROOT = join(import.meta.dirname, '../..');

describeEngine('npm run engine -- postgres-failover', ['postgres', 'haproxy'], () => {
  let engine: ChildProcess;
  let proxyUrl: string;
  const output: string[] = [];
  jest.setTimeout(60_000);

  beforeAll(async () => {
    engine = spawn(process.execPath, ['scripts/engine.mjs', 'postgres-failover', '--haproxy'], { cwd: ROOT });
    createInterface({ input: engine.stdout! }).on('line', (line) => output.push(line));
    await written(/^Type /);
    proxyUrl = (await written(/HAProxy +(\S+)/))[1]!;
  });

  afterAll(() => {
    engine?.kill('SIGKILL');
  });

  async function written(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = output.map((line) => pattern.exec(line)).find(Boolean);
      if (found) return found;
      if (engine.exitCode !== null) throw new Error(`it has ended:\n${output.join('\n')}`);
      await delay(20);
    }
  }

  async function ask<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: proxyUrl, connectionTimeoutMillis: 5000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  it('takes typed commands: the primary is killed, another is promoted, and the address is the same', async () => {
    await ask('CREATE TABLE kept AS SELECT 1 AS one');
    // Without --synchronous a standby may be a moment behind.
    await delay(500);
    engine.stdin!.write('kill 1\nfailover\n');
    await written(/^failover .*node [23]/);
    for (let attempt = 0; ; attempt++) {
      try {
        expect(await ask('SELECT one FROM kept')).toEqual([{ one: 1 }]);
        break;
      } catch (error) {
        if (attempt === 50) throw error;
        await delay(100);
      }
    }
  });

  it('leaves nothing behind when it is killed', async () => {
    const [{ folder }] = (await ask<{ folder: string }>("SELECT current_setting('data_directory') AS folder")) as [
      { folder: string },
    ];
    expect(existsSync(folder)).toBe(true);
    engine.kill('SIGKILL');
    const deadline = Date.now() + 15_000;
    while (existsSync(folder) && Date.now() < deadline) await delay(50);
    expect(existsSync(join(folder, '../..'))).toBe(false);
    await expect(ask('SELECT 1')).rejects.toThrow();
  });
});
