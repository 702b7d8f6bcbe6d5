import 'reflect-metadata';
import { DataSource } from 'typeorm';
import {
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  MysqlSessionEntity,
  SessionEntity,
  SqliteSessionEntity,
} from '../../libs/session/dist/esm/index.js';
import { NaiveRow } from './node/naive-row.mjs';

const ENTITIES = { SessionEntity, MysqlSessionEntity, SqliteSessionEntity };

/**
 * The library's table as its migrations make it, and the control's.
 *
 * @param {string} entity the name that the library exports it by
 */
export async function createTables(options, entity) {
  await createSessions(options, entity);
  await withDataSource({ ...options, entities: [NaiveRow] }, (dataSource) => dataSource.synchronize());
}

export function createSessions(options, entity) {
  const migrations = [CreateSessions1764000000000, CreateSessionFunctions1764300000000];
  const source = { ...options, entities: [ENTITIES[entity]], migrations };
  return withDataSource(source, (dataSource) => dataSource.runMigrations());
}

async function withDataSource(options, work) {
  const dataSource = await new DataSource(options).initialize();
  try {
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
