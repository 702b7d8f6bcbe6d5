import 'reflect-metadata';
import { MysqlSessionEntity, SessionEntity, SqliteSessionEntity } from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions } from 'typeorm';

/** As an application has it; the test says which. */
const { driver, entity, ...options } = JSON.parse(process.env.TEST_DATA_SOURCE!) as Record<string, string>;
const entities = [{ SessionEntity, MysqlSessionEntity, SqliteSessionEntity }[entity!]].filter(Boolean);
const module = driver && ((await import(`${driver}/lib/index.js`)) as { default: unknown }).default;

export const sessions = new DataSource({ ...options, entities, driver: module } as object as DataSourceOptions);
