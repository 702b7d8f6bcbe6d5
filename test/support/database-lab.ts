import { afterAll, beforeAll, beforeEach, jest } from '@jest/globals';
import {
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  type SessionColumns,
} from 'nestjs-typeorm-session';
import { DataSource, type Repository } from 'typeorm';
import { startApp, type Platform, type TestAppOptions } from './app.js';
import type { DatabaseKind, OpenDatabase } from './databases.js';
import { LabController, Nodes } from './lab.js';

/** As many nodes of one application as the database allows. It is there from `beforeAll` on, and empty before each test. */
export class DatabaseLab extends Nodes {
  database!: OpenDatabase;

  constructor(readonly kind: DatabaseKind) {
    super();
  }

  get dataSource(): DataSource {
    return this.nodes[0]!.app.get(DataSource);
  }

  get sessions(): Repository<SessionColumns> {
    return this.dataSource.getRepository(this.kind.entity);
  }

  rows(): Promise<SessionColumns[]> {
    return this.sessions.find();
  }

  /** Changes all rows there are, past the library. */
  async alter(values: Partial<SessionColumns>): Promise<void> {
    await this.dataSource
      .createQueryBuilder()
      .update(this.kind.entity)
      .set(values as never)
      .execute();
  }
}

/** A {@link DatabaseLab} for the tests of a describe block. */
export function useDatabase(
  kind: DatabaseKind,
  platform: Platform,
  options: Pick<TestAppOptions, 'session'> = {},
): DatabaseLab {
  const lab = new DatabaseLab(kind);
  jest.setTimeout(30_000);

  beforeAll(async () => {
    lab.database = await kind.create();
    // Loaded by itself it would stay loaded, for the data source of the next database too.
    const entities = { autoLoadEntities: false, entities: [kind.entity] };
    const nodes = [];
    for (let node = 0; node < kind.nodes; node++) {
      nodes.push(
        await startApp({
          platform,
          controllers: [LabController],
          typeorm: {
            ...(lab.database.others?.[node - 1] ?? lab.database.typeorm),
            ...entities,
            migrations: [CreateSessions1764000000000, CreateSessionFunctions1764300000000],
            migrationsRun: node === 0,
          },
          // Hundreds of requests at once are no measure of speed.
          session: { entity: kind.entity, deadline: '15s', ...kind.session, ...options.session },
        }),
      );
    }
    lab.nodes = nodes;
  });

  beforeEach(async () => {
    await lab.sessions.clear();
    for (const node of lab.nodes) node.events.splice(0);
  });

  afterAll(async () => {
    for (const node of lab.nodes ?? []) await node.close();
    await lab.database?.drop();
  });

  return lab;
}
