export type {
  LegacyCookieOptions,
  LegacySession,
  LegacySessions,
  LegacyTable,
  MigrateFrom,
} from './core/legacy/legacy-sessions.js';
export type { SessionEvent } from './core/events.js';
export { applyAtomic, type AtomicResult } from './core/atomic.js';
export {
  SessionConfigError,
  SessionJoinError,
  SessionStoreError,
  type SessionErrorCode,
  type StoreFailure,
} from './core/errors.js';
export type {
  Duration,
  SessionCacheOptions,
  SessionCleanupOptions,
  SessionCookieOptions,
  SessionLifetime,
  SessionOptions,
} from './core/options.js';
export type { LoginOptions, SaveOptions, SessionData, SessionKey, TransactionManager } from './core/session.js';
export type {
  Applied,
  AtomicOperation,
  AtomicOutcome,
  Delta,
  Found,
  JoinedStore,
  JsonByKey,
  LifetimeChange,
  Missed,
  NewSession,
  ReadValue,
  Replacement,
  SessionRef,
  SessionStore,
  StoredSession,
  StoreHealth,
  TransactionEnd,
} from './core/store.js';
export type {
  FastifySessionMembers,
  RequestSessionCookie,
  RequestSessionMembers,
  SessionCallback,
} from './http/session-members.js';
export type { CleanupResult } from './maintenance/session-cleanup.js';
export { CurrentSession } from './nest/current-session.js';
export { openSession } from './nest/open-session.js';
export { SessionCleanupService } from './nest/session-cleanup.service.js';
export {
  createSessionDecorator,
  RequireSession,
  Session,
  SkipSession,
  type SessionDecorator,
  type SessionParameter,
  type TypedSessionDecorator,
} from './nest/session.decorator.js';
export { SessionException } from './nest/session.exception.js';
export { SessionGuard } from './nest/session.guard.js';
export { SessionHealthIndicator, type SessionHealthResult } from './nest/session-health.indicator.js';
export type { RequireSessionOptions } from './nest/session.metadata.js';
export { SessionModule } from './nest/session.module.js';
export type {
  SessionModuleAsyncOptions,
  SessionModuleOptions,
  SessionOptionsFactory,
  SessionStaticOptions,
} from './nest/session.options.js';
export { requestSession, type SessionMiddleware } from './nest/session-property.js';
export { SessionService } from './nest/session.service.js';
export { MysqlSessionColumns, Session as MysqlSessionEntity } from './storage/entities/mysql-session.entity.js';
export { PostgresSessionColumns, Session as SessionEntity } from './storage/entities/postgres-session.entity.js';
export { SessionColumns } from './storage/entities/session-columns.js';
export { SqliteSessionColumns, Session as SqliteSessionEntity } from './storage/entities/sqlite-session.entity.js';
export { connectPgSimple, type ConnectPgSimpleOptions } from './storage/legacy/connect-pg-simple.js';
export { connectTypeorm, type ConnectTypeormOptions } from './storage/legacy/connect-typeorm.js';
export { CreateSessionFunctions1764300000000 } from './storage/migrations/create-session-functions.js';
export { CreateSessions1764000000000 } from './storage/migrations/create-sessions.js';
