import type { ModuleMetadata, Type } from '@nestjs/common';
import { SessionConfigError } from '../core/errors.js';
import type { ResolvedSessionOptions, SessionOptions } from '../core/options.js';
import { resolveOptions } from '../core/resolve-options.js';
import type { SessionStore } from '../core/store.js';
import type { SessionColumns } from '../storage/entities/session-columns.js';

/** Options that Nest needs before any factory has run: they stand beside `useFactory`. */
export interface SessionStaticOptions {
  /** Registers the guard for the whole application. Default: false. */
  guardAll?: boolean;
  /** Name of the TypeORM data source that keeps the sessions. Default: the default one. */
  dataSource?: string;
  /**
   * The session entity: `SessionEntity` for PostgreSQL, `MysqlSessionEntity` for MariaDB and MySQL, `SqliteSessionEntity` for
   * SQLite, or one that extends their columns. Default: `SessionEntity`.
   */
  entity?: Type<SessionColumns>;
  /** Keeps the sessions, in place of a TypeORM data source: see docs/your-own-store.md. Default: the data source does. */
  store?: SessionStore;
  /** Makes `CurrentSession` work, at the cost of an AsyncLocalStorage around every request. Default: false. */
  currentSession?: boolean;
  /**
   * Defines `req.session` and `req.sessionID` as express-session users and passport know them, and opens the session of every
   * request in front of all that Nest runs, `app.use()` in main.ts included. Default: false.
   */
  requestSession?: boolean;
  /**
   * On Express with Node 20 or 22: whether the server makes its requests and responses with Express's prototypes, which spares it the
   * most of what Express costs there (docs/decisions/021-express-objects.md). Default: true.
   */
  expressPrototypes?: boolean;
}

const STATIC_KEYS = [
  'guardAll',
  'dataSource',
  'entity',
  'store',
  'currentSession',
  'requestSession',
  'expressPrototypes',
] as const satisfies readonly (keyof SessionStaticOptions)[];

export interface SessionModuleOptions extends SessionOptions, SessionStaticOptions {}

/** For `useClass` and `useExisting`. */
export interface SessionOptionsFactory {
  createSessionOptions(): SessionOptions | Promise<SessionOptions>;
}

export interface SessionModuleAsyncOptions extends SessionStaticOptions, Pick<ModuleMetadata, 'imports'> {
  // Nest's own provider types take any parameters here.
  useFactory?: (...dependencies: any[]) => SessionOptions | Promise<SessionOptions>;
  inject?: any[];
  useClass?: Type<SessionOptionsFactory>;
  useExisting?: Type<SessionOptionsFactory>;
}

/** Separates what Nest needs at once from what may come later. */
export function splitOptions<O extends SessionStaticOptions>(
  options: O,
): { fixed: SessionStaticOptions; rest: Omit<O, keyof SessionStaticOptions> } {
  const { guardAll, dataSource, entity, store, currentSession, requestSession, expressPrototypes, ...rest } = options;
  const fixed = { guardAll, dataSource, entity, store, currentSession, requestSession, expressPrototypes };
  for (const key of ['guardAll', 'currentSession', 'requestSession', 'expressPrototypes'] as const) {
    if (fixed[key] !== undefined && typeof fixed[key] !== 'boolean') {
      throw new SessionConfigError(`${key} must be true or false.`);
    }
  }
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw new SessionConfigError('dataSource must be the name of a TypeORM data source.');
  }
  if (entity !== undefined && typeof entity !== 'function') {
    throw new SessionConfigError(
      'entity must be an entity class: SessionEntity, MysqlSessionEntity, SqliteSessionEntity or one that extends their columns.',
    );
  }
  if (store !== undefined && typeof store?.find !== 'function') {
    throw new SessionConfigError('store must be an object that implements SessionStore.');
  }
  if (store && (dataSource ?? entity) !== undefined) {
    throw new SessionConfigError('store keeps the sessions by itself: leave out dataSource and entity beside it.');
  }
  return { fixed, rest };
}

/** Resolves what a factory gave, and says so where an option came too late. */
export function resolveLate(options: SessionOptions | undefined): ResolvedSessionOptions {
  const late = STATIC_KEYS.find((key) => options && Object.hasOwn(options, key));
  if (!late) return resolveOptions(options);
  throw new SessionConfigError(
    `${late} must stand beside useFactory in SessionModule.forRootAsync(), as Nest needs it before the factory runs.`,
  );
}
