import { randomUUID } from 'node:crypto';
import { describe } from '@jest/globals';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import mysql from 'mysql2/promise';

/** TypeORM's names of the two servers that share a dialect. */
export type MysqlType = 'mariadb' | 'mysql';

export interface MysqlDatabase {
  readonly type: MysqlType;
  readonly url: string;
  readonly name: string;
  /** What an application says to use it. */
  readonly typeorm: Partial<TypeOrmModuleOptions>;
  /** Runs SQL on connections of its own, past the application and the library. */
  query<Row = Record<string, unknown>>(sql: string, parameters?: unknown[]): Promise<Row[]>;
  /** A connection that a test holds, for its locks and its transactions. */
  connect(): Promise<mysql.Connection>;
  /** Removes the database. */
  drop(): Promise<void>;
}

const URLS: Record<MysqlType, string | undefined> = {
  mariadb: process.env.TEST_MARIADB_URL,
  mysql: process.env.TEST_MYSQL_URL,
};

/** What is there to be tested. MySQL has to be named; MariaDB should be there, so its absence shows as skipped tests. */
export const MYSQL_TYPES: readonly MysqlType[] = URLS.mysql ? ['mariadb', 'mysql'] : ['mariadb'];

/** `describe` for tests that need a server; where there is none, they are skipped, visibly. */
export function describeOn(type: MysqlType): typeof describe | typeof describe.skip {
  return URLS[type] ? describe : describe.skip;
}

/** An empty database, so that test files can run side by side. */
export async function createMysqlDatabase(
  type: MysqlType,
  attributes = 'CHARACTER SET utf8mb4',
): Promise<MysqlDatabase> {
  const server = URLS[type];
  if (!server) throw new Error(`there is no server of type ${type}: set TEST_${type.toUpperCase()}_URL`);
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const admin = await mysql.createConnection(server);
  await admin.query(`CREATE DATABASE ${name} ${attributes}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const pool = mysql.createPool({ uri: url.href, connectionLimit: 4 });

  return {
    type,
    url: url.href,
    name,
    typeorm: { type, url: url.href, extra: { connectionLimit: 10 } },
    async query<Row>(sql: string, parameters?: unknown[]) {
      return (await pool.query(sql, parameters))[0] as Row[];
    },
    connect: () => mysql.createConnection(url.href),
    async drop() {
      await pool.end();
      await admin.query(`DROP DATABASE IF EXISTS ${name}`);
      await admin.end();
    },
  };
}
