// What happens to the processes of the application, and what visitors do to them, whatever the database is.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { post } from '../../race/client.mjs';
import { isAlive } from '../../server/process.mjs';
import { listens, sleep, until } from './tools.mjs';

const LIBFAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
/** Of TypeORM's pools, unless the application says otherwise. */
const POOL = 10;
/** Milliseconds for each row that is to expire: longer than it takes to add it. */
const ADDED_IN = 0.06;
/** Milliseconds after which what has expired is gone, however many rows it was: no promise, but an end to waiting. */
const SWEPT_IN = 300_000;
/** Databases that have had all of them: the next time a tenth is enough. */
const hasSwept = new WeakSet();

/** @typedef {(world: import('./schedule.mjs').World) => Promise<string>} Fault says how it is known to have had its effect */

/** @type {Record<string, Fault>} */
export const applicationFaults = {
  async 'process-killed'({ fleet, random, between }) {
    const member = random.pick(fleet.members);
    const { port } = member;
    const pid = await member.kill();
    if (isAlive(pid) || (await listens(`tcp://127.0.0.1:${port}`))) throw new Error(`process ${pid} is still there`);
    await sleep(between(500, 2000));
    await member.restart();
    return `process ${pid} was gone and its port refused; ${member.pid} was started`;
  },

  async 'process-frozen'({ fleet, random, between }) {
    const member = random.pick(fleet.members);
    member.freeze();
    const isSilent = (await Promise.race([member.ask(), sleep(between(3000, 6000), 'silent')])) === 'silent';
    await member.thaw();
    if (!isSilent) throw new Error(`process ${member.pid} still answered`);
    return `process ${member.pid} did not answer, and then went on`;
  },

  async 'rolling-deployment'({ fleet }) {
    const before = fleet.members.map(({ pid }) => pid);
    const took = [];
    for (const member of fleet.members) took.push(Math.round(await member.roll()));
    if (before.some(isAlive)) throw new Error('an old process is still there');
    return `processes ${before.join(', ')} ended after SIGTERM in ${took.join(', ')} ms, and others were started`;
  },

  async 'clock-skewed'({ fleet, random, between }) {
    const member = random.pick(fleet.members);
    const offset = random.coin() ? '+1h' : '-1h';
    await member.roll({ LD_PRELOAD: LIBFAKETIME, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' });
    const { clock } = await member.ask();
    const hours = (clock - Date.now()) / 3_600_000;
    if (Math.abs(hours - Number(offset.replace('h', ''))) > 0.1) throw new Error(`its clock is ${hours} h off`);
    await sleep(between(5000, 7000));
    await member.roll();
    return `process ${member.index} believed to be ${hours.toFixed(2)} h off`;
  },

  async 'pool-exhausted'({ fleet, between }) {
    const milliseconds = Math.round(between(2000, 4000));
    // One who waits for a connection for 2 s gives up, and so does the one who holds them for the sake of this.
    const held = await Promise.all(
      fleet.members.map(({ port }) =>
        post(port, 'hold', { connections: POOL, milliseconds }).then(({ body }) => body.value),
      ),
    );
    if (held.some((count) => !(count > POOL / 2))) throw new Error(`only ${held.join(', ')} connections were held`);
    return `handlers held ${held.join(', ')} of ${POOL} connections for ${milliseconds} ms`;
  },

  async sweep({ database, expired }) {
    // All in the same moment, so that nobody sweeps the first while the last are still written.
    const count = hasSwept.has(database) ? Math.ceil(expired / 10) : expired;
    hasSwept.add(database);
    const expiry = Math.round(Date.now() + count * ADDED_IN);
    await database.addExpired(count, expiry);
    const before = await database.countExpired();
    await sleep(Math.max(0, expiry - Date.now()));
    const expiredAt = Date.now();
    await until(async () => !(await database.hasExpired(expiry)), 'all expired rows are swept', SWEPT_IN);
    const seconds = ((Date.now() - expiredAt) / 1000).toFixed(1);
    return `${count} rows were added, of which ${before} were there when they expired; none was left ${seconds} s later`;
  },

  async flood({ fleet, random, between }) {
    const until = performance.now() + between(3000, 5000);
    const answers = new Map();
    const visitor = async () => {
      while (performance.now() < until) {
        const cookie = random.pick([
          undefined,
          `sid=${randomBytes(32).toString('base64url')}`,
          `sid=${'A'.repeat(900)}`,
        ]);
        const member = random.pick(fleet.reachable);
        const { status, body, cookie: issued } = await post(member.port, 'read', {}, cookie);
        if (issued !== undefined || body.owner !== undefined) throw new Error('a stranger got a session');
        answers.set(status, (answers.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 16 }, visitor));
    return [...answers].map(([status, count]) => `${count} answers with ${status}`).join(', ');
  },
};

/** Why some of these cannot be had, in sentences. */
export function skippedFaults(database) {
  return {
    ...(!existsSync(LIBFAKETIME) && { 'clock-skewed': 'there is no libfaketime (Debian: apt install libfaketime)' }),
    ...(database.family === 'sqlite' && {
      'pool-exhausted': 'SQLite has no pool',
      'clock-skewed':
        'SQLite has the clock of its process, and processes with one file are on one machine with one clock',
    }),
    ...database.skipped,
  };
}
