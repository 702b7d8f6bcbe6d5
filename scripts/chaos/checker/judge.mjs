// Judges what was recorded of one session, from the first request to the row that is there at the end.
//
// An outcome is `ok` (2xx), `absent` (the session was not there: 2xx without it, or 401), `replaced` (409, its token is
// an old one), `refused` (it surely did nothing) or `unknown` (nobody can know: SESSION_OUTCOME_UNKNOWN, or no answer).
// What is unknown may take effect once, at any time after it was asked for, also after the session was read.
import { Harms } from './harms.mjs';
import { judgeCounter } from './counter.mjs';
import { judgeList } from './list.mjs';
import { judgeNonces } from './nonces.mjs';
import { judgeRegisters } from './registers.mjs';

/**
 * @typedef {object} Event one request, and what came of it
 * @property {string} op
 * @property {number} begin milliseconds, by one clock for all events
 * @property {number} end
 * @property {'ok' | 'absent' | 'replaced' | 'refused' | 'unknown'} outcome
 * @property {number} cookie which of the session's cookies was sent, counted from 0
 * @property {boolean} [unanswered] no response came
 * @property {string} [key]
 * @property {string} [item] what was written
 * @property {any} [value] what the operation answered
 * @property {string} [owner] whose session the handler found
 * @property {Record<string, any>} [data] all that was read
 *
 * @typedef {object} Lineage one session under all its cookies
 * @property {string} name its owner key, and the beginning of every value in it
 * @property {Event[]} events
 * @property {number} [idle] milliseconds after which it expires, where the run waits for that
 * @property {Record<string, any>[]} [rows] data of the rows that name it at the end; none where nobody has looked yet
 *
 * @param {Lineage} lineage
 * @returns {Harms}
 */
export function judge({ name, events, idle, rows }) {
  const harms = new Harms();
  const life = lifeOf(events);
  judgeOwners(name, events, rows, harms);
  if (idle === undefined) judgeLife(name, events, life, harms);
  else judgeExpiry(name, events, idle, harms);
  judgeRows(name, rows, { ...life, isMortal: idle !== undefined }, harms);
  const reads = readsOf(name, events, rows);
  for (const key of ['items', 'updates']) judgeList(name, key, events, reads, harms);
  judgeCounter(name, events, reads, harms);
  judgeRegisters(name, events, reads, harms);
  judgeNonces(name, events, reads, harms);
  return harms;
}

const mayHaveHappened = ({ outcome }) => outcome === 'ok' || outcome === 'unknown';
const ends = ({ op }) => op === 'destroy';
const replaces = ({ op }) => op === 'login' || op === 'regenerate';
const isServed = ({ outcome, owner }) => outcome === 'ok' && owner !== undefined;

function lifeOf(events) {
  const created = events.find(({ op }) => op === 'create');
  return {
    isCreated: created?.outcome === 'ok',
    isRefused: created?.outcome === 'refused',
    ended: events.find((event) => ends(event) && event.outcome === 'ok'),
    mayHaveEnded: events.some((event) => ends(event) && mayHaveHappened(event)),
  };
}

/** What was read, in the order of asking, with the row at the end as the last. */
function readsOf(name, events, rows) {
  const reads = events.filter((event) => event.data && event.owner === name);
  const [row] = rows ?? [];
  return row ? [...reads, { op: 'row', begin: Infinity, end: Infinity, owner: name, data: row }] : reads;
}

/** Nobody sees what is another's. */
function judgeOwners(name, events, rows = [], harms) {
  for (const { op, owner, data } of [...events, ...rows.map((row) => ({ op: 'row', owner: row.owner, data: row }))]) {
    const strange = [...textsOf(data)].find((text) => text !== name && !text.startsWith(`${name}:`));
    if (owner !== undefined && owner !== name) harms.add('crossed', `${op} of ${name} found the session of ${owner}`);
    else if (strange !== undefined) harms.add('crossed', `${op} of ${name} found ${strange}`);
  }
}

function* textsOf(value) {
  if (typeof value === 'string' && value !== '') yield value;
  else if (value && typeof value === 'object') for (const each of Object.values(value)) yield* textsOf(each);
}

/** It is there until its end, and never after it; and so is each of its cookies until it is replaced. */
function judgeLife(name, events, { ended, isCreated }, harms) {
  const firstAbsence = new Map();
  for (const event of events) {
    const { op, cookie, begin } = event;
    if (isServed(event)) {
      const isReplaced = events.some(
        (other) => replaces(other) && other.outcome === 'ok' && other.cookie === cookie && other.end < begin,
      );
      if (ended && ended.end < begin) harms.add('resurrected', `${op} of ${name} was served after its end`);
      else if (isReplaced) harms.add('resurrected', `${op} of ${name} was served with a cookie that was replaced`);
      else if (firstAbsence.get(cookie) < begin) harms.add('resurrected', `${op} of ${name} found it again`);
    }
    if (event.outcome !== 'absent' && event.outcome !== 'replaced') continue;
    if (!firstAbsence.has(cookie)) firstAbsence.set(cookie, event.end);
    if (isCreated && !isExplained(event, events)) harms.add('lost', `${op} of ${name} did not find the session`);
  }
}

/** Whether something that was asked for before may be why the session was not found with this cookie. */
const isExplained = (event, events) =>
  events.some(
    (other) =>
      other !== event &&
      (ends(other) || (replaces(other) && other.cookie === event.cookie)) &&
      mayHaveHappened(other) &&
      other.begin < event.end,
  );

/**
 * Idle sessions: nothing extends them but requests. By the clock of the machine that the database runs on, which is ours
 * too, it lives until the sign-in that gave it its timeout plus that, at least, and at most until the last request plus
 * that.
 */
function judgeExpiry(name, events, idle, harms) {
  const signIn = events.find(({ op }) => op === 'login');
  if (signIn?.outcome !== 'ok') return;
  let latest = signIn.end;
  for (const event of events.slice(events.indexOf(signIn) + 1)) {
    if (event.cookie === signIn.cookie) continue;
    if (isServed(event) && event.begin >= latest + idle) {
      harms.add(
        'servedExpired',
        `${event.op} of ${name} was served ${Math.round(event.begin - latest - idle)} ms late`,
      );
    }
    if (event.outcome === 'absent' && event.end < signIn.begin + idle) {
      harms.add(
        'lost',
        `${event.op} of ${name} did not find it ${Math.round(signIn.begin + idle - event.end)} ms early`,
      );
    }
    // It may still be under way, and move the expiry when it arrives.
    if (event.unanswered) latest = Infinity;
    else if (event.outcome !== 'absent') latest = Math.max(latest, event.end);
  }
}

function judgeRows(name, rows, { isCreated, isRefused, ended, mayHaveEnded, isMortal }, harms) {
  if (rows === undefined) return;
  if (isRefused && rows.length > 0) harms.add('duplicated', `${name} was refused and has a row`);
  for (let surplus = 1; surplus < rows.length; surplus++) harms.add('duplicated', `${name} has ${rows.length} rows`);
  if (ended && rows.length > 0) harms.add('resurrected', `${name} was destroyed and has a row`);
  if (isCreated && !mayHaveEnded && !isMortal && rows.length === 0) harms.add('lost', `${name} has no row`);
}
