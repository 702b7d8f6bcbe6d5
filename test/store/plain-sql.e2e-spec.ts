import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import {
  CreateSessions1764000000000,
  MysqlSessionEntity,
  SessionEntity,
  type SessionColumns,
} from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions, type EntityTarget } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import { createDatabase } from '../support/database.js';
import { createMysqlDatabase, describeOn, MYSQL_TYPES, type MysqlType } from '../support/mariadb-database.js';

const PASSWORD = 'app-password';
const LIMITS = { deadline: 15_000, maxBytes: 65_536 };

const sqlOf = (file: string) => readFileSync(`docs/sql/${file}.sql`, 'utf8');

/** A database, and what shows its schema. */
interface Target {
  readonly typeorm: Partial<TypeOrmModuleOptions>;
  schema(): Promise<unknown>;
  run(sql: string): Promise<unknown>;
  drop(): Promise<void>;
}

async function open(target: Target, options: object): Promise<DataSource> {
  const dataSource = new DataSource({ ...target.typeorm, ...options } as DataSourceOptions);
  return dataSource.initialize();
}

function describeSql(
  create: () => Promise<Target>,
  entity: EntityTarget<SessionColumns>,
  file: string,
  grantee: {
    readonly inFile: string;
    name(user: string): string;
    makes(user: string): string;
    drops(user: string): string;
  },
): void {
  const user = `app_${randomUUID().slice(0, 8)}`;
  const sql = sqlOf(file).replace(grantee.inFile, grantee.name(user));
  const options = { entities: [entity], migrations: [CreateSessions1764000000000] };
  let byHand: Target;
  let migrated: Target;
  let synchronized: Target;

  beforeAll(async () => {
    [byHand, migrated, synchronized] = await Promise.all([create(), create(), create()]);
    await byHand.run(grantee.makes(user));
    await byHand.run(sql);
    await (await open(migrated, { ...options, migrationsRun: true })).destroy();
    await (await open(synchronized, { ...options, synchronize: true })).destroy();
  });
  afterAll(async () => {
    await byHand?.run(grantee.drops(user)).catch(() => undefined);
    for (const target of [byHand, migrated, synchronized]) await target?.drop();
  });

  it('makes the same schema as the migration, and as synchronize', async () => {
    const schema = await byHand.schema();
    expect(schema).toEqual(await migrated.schema());
    expect(schema).toEqual(await synchronized.schema());
  });

  it('leaves nothing for migration:generate to find', async () => {
    for (const target of [byHand, migrated, synchronized]) {
      const dataSource = await open(target, options);
      const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
      await dataSource.destroy();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    }
  });

  it('grants all that a session needs', async () => {
    const { typeorm } = byHand;
    const url = new URL((typeorm as { url: string }).url);
    url.username = user;
    url.password = PASSWORD;
    const dataSource = await open({ ...byHand, typeorm: { ...typeorm, url: url.href } as Target['typeorm'] }, options);
    try {
      const store = createStore(dataSource, entity, LIMITS, () => {});
      await store.check();
      expect(await store.deleteExpired(10)).toBe(0);
    } finally {
      await dataSource.destroy();
    }
  });
}

describe('docs/sql/postgres.sql', () => {
  const create = async (): Promise<Target> => {
    const database = await createDatabase();
    const tables = `table_schema = 'public' AND table_name = 'sessions'`;
    return {
      typeorm: { type: 'postgres', url: database.url },
      run: (sql) => database.query(sql),
      schema: () =>
        Promise.all([
          database.query(
            `SELECT column_name, udt_name, is_nullable, character_maximum_length, column_default
             FROM information_schema.columns WHERE ${tables} ORDER BY ordinal_position`,
          ),
          database.query(
            `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'sessions' ORDER BY 1`,
          ),
          database.query(
            `SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'sessions'::regclass ORDER BY 1`,
          ),
        ]),
      drop: database.drop,
    };
  };
  it('[fill-factor] leaves room in the pages, as the migration does', async () => {
    // TypeORM knows nothing of it, so the schemas compared below do not have it.
    const database = await createDatabase();
    const settings = () => database.query(`SELECT reloptions FROM pg_class WHERE oid = 'sessions'::regclass`);
    const options = { entities: [SessionEntity], migrations: [CreateSessions1764000000000], migrationsRun: true };
    const wanted = [{ reloptions: ['fillfactor=85'] }];
    try {
      await database.query(sqlOf('postgres').replace(/GRANT [^;]+;/, ''));
      expect(await settings()).toEqual(wanted);
      await database.query('DROP TABLE sessions');
      await (await new DataSource({ type: 'postgres', url: database.url, ...options }).initialize()).destroy();
      expect(await settings()).toEqual(wanted);
    } finally {
      await database.drop();
    }
  });
  describeSql(create, SessionEntity, 'postgres', {
    inFile: '"app"',
    name: (user) => user,
    makes: (user) => `CREATE ROLE ${user} LOGIN PASSWORD '${PASSWORD}'`,
    drops: (user) => `DROP OWNED BY ${user}; DROP ROLE ${user}`,
  });
});

function createFor(type: MysqlType): () => Promise<Target> {
  return async () => {
    const database = await createMysqlDatabase(type);
    return {
      typeorm: { type, url: database.url } as Target['typeorm'],
      async run(sql) {
        // One by one, and no comment has a semicolon in it.
        for (const statement of sql.split(';')) if (statement.trim()) await database.query(statement);
      },
      async schema() {
        const [row] = await database.query<{ 'Create Table': string }>('SHOW CREATE TABLE sessions');
        return row!['Create Table'];
      },
      drop: database.drop,
    };
  };
}

for (const type of MYSQL_TYPES) {
  describeOn(type)(`docs/sql/${type}.sql`, () => {
    describeSql(createFor(type), MysqlSessionEntity, type, {
      inFile: `'app'@'%'`,
      name: (user) => `'${user}'@'%'`,
      makes: (user) => `CREATE USER '${user}'@'%' IDENTIFIED BY '${PASSWORD}'`,
      drops: (user) => `DROP USER '${user}'@'%'`,
    });
  });
}
