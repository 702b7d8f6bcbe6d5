// Clients, faults, and then the truth: one run against one database.
import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { seeded } from '../race/random.mjs';
import { judgeAudit } from './checker/audit.mjs';
import { Harms } from './checker/harms.mjs';
import { judge } from './checker/judge.mjs';
import { Clients } from './clients.mjs';
import { seesVersions } from './databases/audit-triggers.mjs';
import { runSchedule } from './faults/schedule.mjs';
import { sleep } from './faults/tools.mjs';
import { Fleet } from './fleet.mjs';
import { measure } from './measure.mjs';
import { MemoryWatch } from './memory.mjs';
import { heldAtRest } from './quiescence.mjs';
import { Traffic } from './traffic.mjs';

/** Longer than any statement of a request that has been given up may go on. */
const SETTLED_AFTER = 4000;
const EVIDENCE = 5;
const NOTES = 20;

/**
 * @param {any} database see databases/
 * @param {object} options
 * @param {Record<string, Function>} options.faults
 * @param {string} [options.defect] of the application
 * @returns what was found, with all figures
 */
export async function campaign(database, { processes, clients, rate, seconds, seed, faults, expired, defect, tell }) {
  const { family, location } = database;
  const fleet = await Fleet.start(processes, {
    family,
    location,
    defect,
    secret: randomBytes(32).toString('base64url'),
  });
  const harms = new Harms();
  const evidence = [];
  const onJudged = (found, { name, events }) => {
    harms.merge(found);
    if (found.total > 0 && evidence.length < EVIDENCE)
      evidence.push({ name, found: found.sentences, events: events.slice(-40) });
  };
  const watch = new MemoryWatch(fleet);
  const delays = monitorEventLoopDelay();
  delays.enable();
  try {
    const traffic = new Traffic(fleet);
    const begin = performance.now();
    const crowd = new Clients(traffic, { clients, rate, seed, onJudged });
    const memoryBegin = sleep(Math.min(10_000, seconds * 500)).then(() => memoryOf(fleet));
    const world = { fleet, database, random: seeded(`${seed}/faults`), expired };
    const log = await runSchedule(faults, world, seconds, tell);
    const end = performance.now();
    await crowd.stop();
    watch.stop();
    // Without faults nobody has given up anything.
    if (log.length > 0) await sleep(SETTLED_AFTER);
    const atRest = await heldAtRest(fleet, database);
    const memory = { begin: await memoryBegin, end: await memoryOf(fleet) };

    const rows = await rowsByOwner(database);
    for (const lineage of [...crowd.open, ...crowd.closed]) {
      const { name, events, idle } = lineage;
      onJudged(judge({ name, events, idle, rows: rows.get(name) ?? [] }), lineage);
      rows.delete(name);
    }
    const audit = judgeAudit(await database.noted(), [...crowd.open, ...crowd.closed]);
    for (const owner of rows.keys()) harms.add('resurrected', `a row of ${owner ?? 'nobody'} is there`);

    const frozen = fleet.members.flatMap(({ index, frozen: times }) =>
      times.map((time) => ({ ...time, member: index })),
    );
    return {
      ...measure({ log: traffic.log, faults: log, frozen, begin, end }),
      ...harms.counts,
      refusals: traffic.refusals,
      wrong: traffic.wrong,
      sentences: harms.sentences,
      evidence,
      sessions: crowd.open.length + crowd.closed.length,
      memory,
      growth: watch.growth,
      atRest,
      deletedAlive: audit.deletedAlive.length,
      versionJumps: seesVersions(family) ? audit.versionJumps.length : null,
      notes: [...audit.deletedAlive, ...audit.versionJumps].slice(0, NOTES),
      restarts: fleet.members.map(({ restarts }) => restarts),
      unexpectedExits: fleet.unexpectedExits,
      slowestTurnMs: Math.round(delays.max / 1e6),
      faults: log.map((fault) => ({
        name: fault.name,
        at: secondsOf(fault.begin - begin),
        seconds: secondsOf(fault.end - fault.begin),
        effect: fault.effect,
        failure: fault.failure,
      })),
    };
  } finally {
    watch.stop();
    delays.disable();
    await fleet.stop();
  }
}

const secondsOf = (milliseconds) => Number((milliseconds / 1000).toFixed(1));

async function memoryOf(fleet) {
  const running = fleet.members.filter(({ isRunning }) => isRunning);
  const answers = await Promise.all(running.map((member) => Promise.race([member.ask(), sleep(2000)])));
  return answers.filter(Boolean).map(({ rss, heapUsed }) => ({ rssMb: megabytes(rss), heapMb: megabytes(heapUsed) }));
}

const megabytes = (bytes) => Math.round(bytes / 2 ** 20);

async function rowsByOwner(database) {
  const rows = new Map();
  for (const { data } of await database.rows()) {
    const values = typeof data === 'string' ? JSON.parse(data) : data;
    rows.set(values.owner, [...(rows.get(values.owner) ?? []), values]);
  }
  return rows;
}
