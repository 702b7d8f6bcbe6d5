import type { Type } from '@nestjs/common';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { SessionEntity, type SessionColumns } from 'nestjs-typeorm-session';
import { createDatabase } from './database.js';

/** An empty database for one test file. */
export interface OpenDatabase {
  readonly typeorm: Partial<TypeOrmModuleOptions>;
  drop(): Promise<void>;
}

/** A database that sessions are kept in. */
export interface DatabaseKind {
  readonly name: string;
  readonly entity: Type<SessionColumns>;
  /** How many nodes can share it. */
  readonly nodes: 1 | 2;
  /** JSON text that is no session's data and that the column takes. */
  readonly garbage: readonly string[];
  create(): Promise<OpenDatabase>;
}

const postgres: DatabaseKind = {
  name: 'PostgreSQL',
  entity: SessionEntity,
  nodes: 2,
  garbage: ['[]', 'null', '"{}"', '1'],
  async create() {
    const { url, drop } = await createDatabase();
    return { typeorm: { type: 'postgres', url }, drop };
  },
};

/** What is tested here: what a machine lacks is missing from it, and was said by the tests' set-up. */
export const DATABASES: readonly DatabaseKind[] = [postgres];
