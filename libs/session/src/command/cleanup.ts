import type { DataSource } from 'typeorm';
import { parseDuration } from '../core/duration.js';
import type { Duration } from '../core/options.js';
import type { CleanupResult } from '../maintenance/session-cleanup.js';
import { SessionCleanup } from '../maintenance/session-cleanup.js';
import { createStore } from '../storage/create-store.js';
import { CommandError } from './command-error.js';
import { loadDataSource } from './load-data-source.js';
import { sessionEntity } from './session-entity.js';

export interface CleanupArguments {
  readonly file: string | undefined;
  readonly entity: string | undefined;
  readonly batchSize: string;
  readonly deadline: string;
  /** Is told of a set-up that works and will hurt. */
  readonly warn: (sentence: string) => void;
}

/** Of no use to a DELETE, which writes no data. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * Deletes all that has expired, on connections of its own.
 *
 * @param stop ends it after the batch at hand.
 */
export async function cleanUp(given: CleanupArguments, stop: AbortSignal): Promise<CleanupResult> {
  const { file, entity, warn } = given;
  if (!file) throw new CommandError('Say where the data source is: --data-source dist/data-source.js');
  const batchSize = Number(given.batchSize);
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 100_000) {
    throw new CommandError(`--batch-size is "${given.batchSize}"; it must be a whole number from 1 to 100000.`);
  }
  const deadline = parseDuration(given.deadline as Duration, '--deadline');

  const dataSource = await loadDataSource(file);
  const wasOpen = dataSource.isInitialized;
  if (!wasOpen) await dataSource.initialize();
  try {
    return await cleanUpIn(dataSource, { entity, batchSize, deadline, warn }, stop);
  } finally {
    if (!wasOpen) await dataSource.destroy();
  }
}

async function cleanUpIn(
  dataSource: DataSource,
  {
    entity,
    batchSize,
    deadline,
    warn,
  }: Pick<CleanupArguments, 'entity' | 'warn'> & Record<'batchSize' | 'deadline', number>,
  stop: AbortSignal,
): Promise<CleanupResult> {
  const store = createStore(dataSource, sessionEntity(dataSource, entity), { deadline, maxBytes: NO_LIMIT }, warn);
  const cleanup = new SessionCleanup(store, batchSize, () => {});
  stop.addEventListener('abort', () => void cleanup.stop());
  let deleted = 0;
  try {
    for (;;) {
      const result = await cleanup.run();
      deleted += result.deleted;
      if (result.done || stop.aborted) return { deleted, done: result.done };
    }
  } finally {
    await store.close?.();
  }
}
