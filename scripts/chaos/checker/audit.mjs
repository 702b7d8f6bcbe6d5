// Judges what the database noted (databases/audit-triggers.mjs) by what was asked for.

/**
 * @param {{ what: string, owner: string | null, detail: string }[]} notes
 * @param {{ name: string, events: import('./judge.mjs').Event[] }[]} lineages
 * @returns `deletedAlive`: sessions that were deleted before their expiry and that nobody can have ended.
 *   `versionJumps`: updates after which the version was not one more than before. With a sentence for each
 */
export function judgeAudit(notes, lineages) {
  const ended = new Set(lineages.filter(({ events }) => events.some(mayEnd)).map(({ name }) => name));
  // A row that is nobody's is that with which the library tries its statements when a process starts.
  const deletedAlive = notes.filter(({ what, owner }) => what === 'deleted' && owner !== null && !ended.has(owner));
  const versionJumps = notes.filter(({ what }) => what === 'version');
  return {
    deletedAlive: deletedAlive.map(({ owner }) => `the row of ${owner} was deleted before its expiry`),
    versionJumps: versionJumps.map(({ owner, detail }) => `the version of ${owner ?? 'nobody'} went from ${detail}`),
  };
}

const mayEnd = ({ op, outcome }) => op === 'destroy' && (outcome === 'ok' || outcome === 'unknown');
