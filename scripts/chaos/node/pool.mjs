/**
 * How many connections of the pool somebody has, and how many wait for one.
 *
 * @param {import('typeorm').DataSource} dataSource
 * @returns {{ busy: number, waiting: number } | undefined} nothing of SQLite, which has no pool
 */
export function poolOf({ driver }) {
  const { master, pool } = driver;
  if (master?.totalCount !== undefined) {
    return { busy: master.totalCount - master.idleCount, waiting: master.waitingCount };
  }
  if (pool?._allConnections === undefined) return undefined;
  return { busy: pool._allConnections.length - pool._freeConnections.length, waiting: pool._connectionQueue.length };
}
