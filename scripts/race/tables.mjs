import 'reflect-metadata';
import { DataSource } from 'typeorm';
import { CreateSessions1764000000000 } from '../../libs/session/dist/esm/index.js';
import { NaiveRow } from './node/naive-row.mjs';

/** The library's table as its migration makes it, and the control's. */
export async function createTables(options) {
  await createSessions(options);
  await withDataSource({ ...options, entities: [NaiveRow] }, (dataSource) => dataSource.synchronize());
}

export const createSessions = (options) =>
  withDataSource({ ...options, migrations: [CreateSessions1764000000000] }, (dataSource) => dataSource.runMigrations());

async function withDataSource(options, work) {
  const dataSource = await new DataSource(options).initialize();
  try {
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
