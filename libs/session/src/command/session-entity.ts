import type { DataSource, EntityTarget } from 'typeorm';
import type { SessionColumns } from '../storage/entities/session-columns.js';
import { sessionEntitiesIn } from '../storage/session-table.js';
import { CommandError } from './command-error.js';

/**
 * The session entity of a data source, by its name or by its columns.
 *
 * @throws CommandError where there is none, or where there are several and no name.
 */
export function sessionEntity(dataSource: DataSource, wanted: string | undefined): EntityTarget<SessionColumns> {
  const sessions = sessionEntitiesIn(dataSource);
  const names = sessions.map(({ name }) => name).join(', ');
  const found = wanted === undefined ? sessions : sessions.filter(({ name }) => name === wanted);
  if (found.length === 1) return found[0]!.target as EntityTarget<SessionColumns>;
  if (wanted !== undefined) {
    throw new CommandError(`The data source has no session entity "${wanted}"; it has: ${names || 'none'}.`);
  }
  throw new CommandError(
    sessions.length === 0
      ? 'The data source has no session entity. List the one that the application uses in its `entities`, such as SessionEntity.'
      : `The data source has several session entities. Name one: --entity ${names.replaceAll(', ', ' or ')}`,
  );
}
