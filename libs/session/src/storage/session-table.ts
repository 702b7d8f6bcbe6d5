import type { DataSource, EntityMetadata, EntityTarget } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import type { SessionColumns } from './entities/session-columns.js';

/** The properties of the row, in the order of the table. */
const PROPERTIES = [
  'id',
  'tokenHash',
  'data',
  'userId',
  'version',
  'createdAt',
  'touchedAt',
  'expiresAt',
  'absoluteExpiresAt',
  'idleTimeout',
  'persistent',
  'previousTokenHash',
  'previousTokenUntil',
  'lastWrite',
] as const satisfies readonly (keyof SessionColumns)[];

/** Names ready for SQL, as the application's naming strategy, prefix and schema make them. */
export interface SessionTable {
  /** Quoted, with its schema. */
  readonly name: string;
  /** Unquoted, for sentences. */
  readonly label: string;
  /** Quoted column by property. */
  readonly columns: Readonly<Record<(typeof PROPERTIES)[number], string>>;
}

/** Properties that together no other entity has. */
const TELLING = ['tokenHash', 'previousTokenHash', 'absoluteExpiresAt', 'lastWrite'];

/** The session entities of a data source, by their columns: their class may come from another copy of this package. */
export function sessionEntitiesIn(dataSource: DataSource): EntityMetadata[] {
  return dataSource.entityMetadatas.filter((entity) =>
    TELLING.every((property) => entity.findColumnWithPropertyName(property)),
  );
}

/**
 * Reads the names from the entity's metadata; says what is missing where the data source does not know the entity.
 *
 * @param columnsName the class that an entity for this database extends.
 */
export function sessionTable(
  dataSource: DataSource,
  entity: EntityTarget<SessionColumns>,
  columnsName: string,
): SessionTable {
  if (!dataSource.hasMetadata(entity)) {
    const name = typeof entity === 'function' ? entity.name : 'the session entity';
    throw new SessionConfigError(
      `The TypeORM data source does not know the session entity (${name}). ` +
        'Set autoLoadEntities: true in TypeOrmModule.forRoot(), or list the entity in its `entities`.',
    );
  }
  const metadata = dataSource.getMetadata(entity);
  const quote = (name: string) => dataSource.driver.escape(name);
  const columns = PROPERTIES.map((property) => {
    const column = metadata.findColumnWithPropertyName(property);
    if (column) return [property, quote(column.databaseName)];
    throw new SessionConfigError(
      `The session entity ${metadata.name} has no column "${property}". Extend ${columnsName}, and do not remove columns.`,
    );
  });
  return {
    name: metadata.tablePath.split('.').map(quote).join('.'),
    label: metadata.tablePath,
    columns: Object.fromEntries(columns),
  };
}
