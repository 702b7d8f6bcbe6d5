import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { eventually } from './eventually.js';

/** The application's pool on PostgreSQL. */
export function poolOf({ driver }: DataSource): pg.Pool {
  return (driver as unknown as { master: pg.Pool }).master;
}

/** Until the pool has noticed that all its connections were closed. */
export async function untilPoolIsEmpty(dataSource: DataSource): Promise<void> {
  await eventually(() => poolOf(dataSource).totalCount === 0);
}
