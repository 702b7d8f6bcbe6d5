// The table in docs/reliability.md, from the stored results.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const BEGIN = '<!-- chaos:begin -->';
const END = '<!-- chaos:end -->';
const HARMS = ['lost', 'stale', 'vanished', 'duplicated', 'resurrected', 'servedExpired', 'crossed'];

/** All stored results, by the name of the file. */
export function chaosResults(folder) {
  const names = readdirSync(folder).filter((name) => /^chaos-.*\.json$/.test(name));
  return names.sort().map((name) => ({ name, ...JSON.parse(readFileSync(join(folder, name), 'utf8')) }));
}

/** The document with the tables of these results between its two marks. */
export function withChaosTable(markdown, results) {
  const [before, rest] = markdown.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`there is no ${BEGIN} with ${END} behind it`);
  const tables = [harmTable(results), answerTable(results), results.map(aboutRun).join('\n')];
  return `${before}${BEGIN}\n<!-- prettier-ignore-start -->\n\n${tables.join('\n\n')}\n\n<!-- prettier-ignore-end -->\n${END}${after}`;
}

const titleOf = ({ database, asynchronous, versions }) =>
  `${database}${asynchronous ? ', asynchronous' : ''} ${versions[database].split(/[ -]/)[0]}`;

const harmTable = (results) =>
  markdown(
    [
      'Database',
      'Acknowledged',
      'Lost',
      'Stale',
      'Vanished',
      'Duplicated',
      'Resurrected',
      'Served expired',
      'Crossed',
      'Defects found',
    ],
    results.map((result) => [
      titleOf(result),
      result.acknowledged,
      ...HARMS.map((harm) => result[harm]),
      controlsOf(result),
    ]),
  );

const answerTable = (results) =>
  markdown(
    [
      'Database',
      'Faults',
      'Refused',
      'Unknown',
      'In calm',
      'Longest gap',
      'Longest recovery',
      'p99 calm',
      'p99 in faults',
      'Slowest refusal',
      'Of which one operation',
    ],
    results.map((result) => [
      titleOf(result),
      result.faults.length,
      result.refused,
      result.unknown,
      `${result.calmRefused} of ${result.calmRequests}`,
      `${result.longestGapMs} ms`,
      `${Math.max(0, ...result.recoveries.map(({ ms }) => ms))} ms`,
      `${result.p99CalmMs} ms`,
      `${result.p99FaultMs} ms`,
      `${result.slowestRefusalMs} ms`,
      operationOf(result),
    ]),
  );

/** The first runs did not tell it. */
const operationOf = ({ slowestRefusedOperationMs: milliseconds }) =>
  milliseconds === undefined ? 'not measured' : `${milliseconds} ms`;

function controlsOf({ controlDetected = {} }) {
  const counts = Object.values(controlDetected);
  return counts.length === 0 ? 'not run' : `${counts.filter((count) => count > 0).length} of ${counts.length}`;
}

/** What one has to know to run it again. */
function aboutRun({ name, date, commit, seed, processes, clients, seconds, rate, cores, memory, complaints }) {
  const megabytes = (members) => members.map(({ rssMb }) => rssMb).join(', ');
  const what = `${processes} processes, ${clients} clients at ${rate} requests a second wanted, ${seconds} s, ${cores} cores`;
  const memories = `memory ${megabytes(memory.begin)} MB at the beginning and ${megabytes(memory.end)} MB at the end`;
  const complaint = complaints.length > 0 ? ` It complained: ${complaints.join('; ')}.` : '';
  return `- [${name}](results/${name}): ${date.slice(0, 10)}, commit ${commit}, seed \`${seed}\`; ${what}; ${memories}.${complaint}`;
}

function markdown(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
