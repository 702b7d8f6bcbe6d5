import type { Type } from '@nestjs/common';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { MysqlSessionEntity, SessionEntity, SqliteSessionEntity, type SessionColumns } from 'nestjs-typeorm-session';
import { createDatabase } from './database.js';
import { createMysqlDatabase, MYSQL_TYPES, type MysqlType } from './mariadb-database.js';
import { BETTER_SQLITE3, createSqliteFile, createSqlJs } from './sqlite-database.js';

/** An empty database for one test file. */
export interface OpenDatabase {
  readonly typeorm: Partial<TypeOrmModuleOptions>;
  /** Where each node has a server of its own: what node 2, 3, … says instead. */
  readonly others?: readonly Partial<TypeOrmModuleOptions>[];
  drop(): Promise<void>;
}

/** A database that sessions are kept in. */
export interface DatabaseKind {
  readonly name: string;
  readonly entity: Type<SessionColumns>;
  /** How many nodes can share it. */
  readonly nodes: 1 | 2 | 3;
  /** What the data column takes and what is no session's data. */
  readonly garbage: readonly string[];
  /** What is missing for its tests, if anything. */
  readonly missing?: string | false;
  create(): Promise<OpenDatabase>;
}

const NO_OBJECTS = ['[]', 'null', '"{}"', '1'];
const NO_JSON = ['', 'text', '{"a":', '{"a":1}{}', "{'a':1}"];

const postgres: DatabaseKind = {
  name: 'PostgreSQL',
  entity: SessionEntity,
  nodes: 2,
  garbage: NO_OBJECTS,
  async create() {
    const { url, drop } = await createDatabase();
    return { typeorm: { type: 'postgres', url }, drop };
  },
};

const mysql = (type: MysqlType, name: string): DatabaseKind => ({
  name,
  entity: MysqlSessionEntity,
  nodes: 2,
  garbage: NO_OBJECTS,
  missing:
    type === 'mariadb' && !process.env.TEST_MARIADB_URL && 'no mariadbd on this machine, and no TEST_MARIADB_URL',
  async create() {
    const { url, drop } = await createMysqlDatabase(type);
    return { typeorm: { type, url }, drop };
  },
});

const sqliteFile: DatabaseKind = {
  name: 'an SQLite file',
  entity: SqliteSessionEntity,
  nodes: 2,
  garbage: [...NO_OBJECTS, ...NO_JSON],
  missing: !BETTER_SQLITE3 && 'no better-sqlite3 in scripts/race/sqlite',
  create: () => createSqliteFile({ enableWAL: true }),
};

const sqlJs: DatabaseKind = {
  name: 'sql.js',
  entity: SqliteSessionEntity,
  nodes: 1,
  garbage: [...NO_OBJECTS, ...NO_JSON],
  create: () => createSqlJs(),
};

const NAMES: Record<MysqlType, string> = { mariadb: 'MariaDB', mysql: 'MySQL' };

export const DATABASES: readonly DatabaseKind[] = [
  postgres,
  ...MYSQL_TYPES.map((type) => mysql(type, NAMES[type])),
  sqliteFile,
  sqlJs,
];
