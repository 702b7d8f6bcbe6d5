import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe } from '@jest/globals';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import {
  CreateSessions1764000000000,
  SqliteSessionEntity,
  type JsonByKey,
  type SessionRef,
  type SessionStore,
} from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';

/** As much of better-sqlite3 as tests need for connections of their own, past the application and the library. */
export interface SqliteFile {
  exec(sql: string): void;
  prepare(sql: string): {
    all(...parameters: unknown[]): Record<string, unknown>[];
    run(...parameters: unknown[]): { changes: number };
  };
  pragma(source: string, options?: { simple: boolean }): unknown;
  close(): void;
}
type BetterSqlite3 = new (file: string, options?: object) => SqliteFile;

const ROOT = resolve(import.meta.dirname, '../..');

/** Where better-sqlite3 is: it is compiled on its installation, and so no dependency of the project. */
export const BETTER_SQLITE3 = [process.env.TEST_BETTER_SQLITE3, join(ROOT, 'scripts/race/sqlite')]
  .map((folder) => folder && join(folder, 'node_modules/better-sqlite3'))
  // Compiled on its installation, or since 13 brought along.
  .find((folder) =>
    ['build/Release/better_sqlite3.node', 'prebuilds'].some((at) => folder && existsSync(join(folder, at))),
  );

/** The module, for TypeORM's option `driver`. */
export function loadBetterSqlite3(): BetterSqlite3 {
  return createRequire(import.meta.url)(BETTER_SQLITE3!) as BetterSqlite3;
}

/** Describes tests that need better-sqlite3; skips them, visibly, where it is missing. */
export const describeOnBetterSqlite3 = BETTER_SQLITE3 ? describe : describe.skip;
if (!BETTER_SQLITE3) {
  console.warn(
    'SQLite files: not run. Their tests need better-sqlite3, in TEST_BETTER_SQLITE3 or scripts/race/sqlite.',
  );
}

/** A file that any number of processes may open. */
export async function createSqliteFile(options: object = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'session-sqlite-'));
  const file = join(folder, 'test.db');
  const typeorm = { type: 'better-sqlite3', database: file, driver: loadBetterSqlite3(), ...options };
  const drop = async () => rmSync(folder, { recursive: true });
  return { file, typeorm: typeorm as Partial<TypeOrmModuleOptions>, drop };
}

/** A database of sql.js, in memory. */
export async function createSqlJs(options: object = {}) {
  const typeorm = { type: 'sqljs', ...options } as Partial<TypeOrmModuleOptions>;
  return { typeorm, drop: async () => undefined };
}

/** A store on a migrated database, past Nest. */
export interface OpenStore {
  readonly dataSource: DataSource;
  readonly store: SessionStore;
  /** What the store said at its start. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

export async function openStore(typeorm: object, { deadline = 2_000, migrate = true } = {}): Promise<OpenStore> {
  const migrations = migrate ? [CreateSessions1764000000000] : [];
  const options = { ...typeorm, entities: [SqliteSessionEntity], migrations, migrationsRun: migrate };
  const dataSource = new DataSource(options as object as DataSourceOptions);
  await dataSource.initialize();
  const warnings: string[] = [];
  const limits = { deadline, maxBytes: 65_536 };
  const store = createStore(dataSource, SqliteSessionEntity, limits, (sentence) => warnings.push(sentence));
  const close = async () => {
    await store.close!();
    if (dataSource.isInitialized) await dataSource.destroy();
  };
  return { dataSource, store, warnings, close };
}

/** A session that has just been created. */
export async function createSession(store: SessionStore, data: JsonByKey = { a: '1' }): Promise<SessionRef> {
  const ref = { id: randomUUID(), tokenHash: randomBytes(32) };
  const lifetime = { idleTimeout: HOUR, absoluteTimeout: 10 * HOUR, persistent: true };
  await store.create({ ...ref, ...lifetime, userId: undefined, data });
  return ref;
}

/** The data of a session that has to be there. */
export async function dataOf(store: SessionStore, { tokenHash }: SessionRef): Promise<unknown> {
  const [found] = await store.find([tokenHash]);
  if (found?.status === 'live') return JSON.parse(found.session.data);
  throw new Error(`the session is ${found?.status ?? 'gone'}`);
}

const HOUR = 3_600_000;
