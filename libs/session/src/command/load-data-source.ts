import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DataSource } from 'typeorm';
import { CommandError } from './command-error.js';

/**
 * The data source that a file exports, under whatever name: the same files that the TypeORM CLI takes.
 *
 * @throws CommandError that says what the file lacks.
 */
export async function loadDataSource(file: string): Promise<DataSource> {
  const exported = await load(file);
  const found = new Set<DataSource>();
  for (const candidate of [exported, exported.default as object | undefined].flatMap((of) => Object.values(of ?? {}))) {
    // A module may export a promise of one.
    const value: unknown = await candidate;
    if (isDataSource(value)) found.add(value);
  }
  const byDefault: unknown = await exported.default;
  if (isDataSource(byDefault)) found.add(byDefault);
  if (found.size === 1) return [...found][0]!;
  throw new CommandError(
    found.size === 0
      ? `${file} exports no DataSource. Let it say: export default new DataSource({ ... })`
      : `${file} exports more than one DataSource. Give the command a file that exports the one of the sessions.`,
  );
}

async function load(file: string): Promise<Record<string, unknown>> {
  const path = resolve(file);
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    throw new CommandError(`${path} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** By what it can do: the application may have loaded another copy of TypeORM than this package finds. */
function isDataSource(value: unknown): value is DataSource {
  const { initialize, destroy, options } = (value ?? {}) as Partial<DataSource>;
  return typeof initialize === 'function' && typeof destroy === 'function' && typeof options === 'object';
}
