import type { EntityTarget } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import { describeValue } from '../core/display.js';
import type { SessionEvent } from '../core/events.js';
import { readOwn } from '../core/option-checks.js';
import type { Duration, ResolvedSessionOptions, SessionCleanupOptions } from '../core/options.js';
import { resolveOptions } from '../core/resolve-options.js';
import type { SessionColumns } from '../storage/entities/session-columns.js';
import { Session as SessionEntity } from '../storage/entities/postgres-session.entity.js';

/** Options of the store for express-session. Durations: see {@link Duration}. */
export interface ExpressSessionStoreOptions {
  /**
   * The session entity: `SessionEntity` for PostgreSQL, `MysqlSessionEntity` for MariaDB and MySQL, `SqliteSessionEntity` for
   * SQLite, or one that extends their columns. Default: `SessionEntity`.
   */
  entity?: EntityTarget<SessionColumns>;
  /** Without use for this long, a session ends whose cookie has no `maxAge`; others go by their `maxAge`. Default: 1 day. */
  idleTimeout?: Duration;
  /**
   * After this long a session ends in any case, whatever the `maxAge` of its cookie. Default: 400 days, which is as long as a
   * browser keeps a cookie (RFC 6265bis, 5.5).
   */
  absoluteTimeout?: Duration;
  /** A session in use has its idle expiry moved at most this often. Default: the larger of 1 minute and idle / 20. */
  touchAfter?: Duration;
  /** For each read or write of a session, the wait for a connection and repeated attempts included. Default: 2 seconds. */
  deadline?: Duration;
  /** Bytes of the data as JSON. Default: 65536. */
  maxBytes?: number;
  /** Removal of expired rows; `false` switches the schedule off. Default: every 10 minutes, in batches of 1000. */
  cleanup?: SessionCleanupOptions | false;
  /** Is told what happens to sessions. Default: nobody is. */
  onEvent?: (event: SessionEvent) => void;
}

/** Options with every default filled in. */
export interface ResolvedStoreOptions extends Pick<
  ResolvedSessionOptions,
  'lifetime' | 'touchAfter' | 'deadline' | 'maxBytes' | 'cleanup'
> {
  readonly entity: EntityTarget<SessionColumns>;
  readonly emit: (event: SessionEvent) => void;
}

const OPTIONS = [
  'entity',
  'idleTimeout',
  'absoluteTimeout',
  'touchAfter',
  'deadline',
  'maxBytes',
  'cleanup',
  'onEvent',
] as const satisfies readonly (keyof ExpressSessionStoreOptions)[];

const TABLE = 'Extend PostgresSessionColumns in an entity of your own, with @Entity(…), and give it as `entity`.';

/** What the stores that this one takes the place of call by another name. */
const ELSEWHERE = {
  ttl: 'A session lives as long as the maxAge of its cookie; where that has none, for idleTimeout.',
  cleanupLimit: 'It is cleanup: { batchSize }.',
  pruneSessionInterval: 'It is cleanup: { interval }.',
  tableName: TABLE,
  schemaName: TABLE,
  pool: 'The store uses the pool of the data source.',
  conString: 'The store uses the data source.',
  onError: 'Errors reach the error handler of the application; onEvent is told of what fails besides.',
} as const;

/** @throws SessionConfigError with a sentence that names the option. */
export function resolveStoreOptions(options: ExpressSessionStoreOptions = {}): ResolvedStoreOptions {
  const given = readOwn(options, 'ExpressSessionStore', OPTIONS, ELSEWHERE);
  const { entity = SessionEntity, ...rest } = given;
  if (typeof entity !== 'function' && typeof entity !== 'string' && typeof entity !== 'object') {
    throw new SessionConfigError(
      `entity is ${describeValue(entity)}. Give SessionEntity, MysqlSessionEntity, SqliteSessionEntity or one that extends their columns.`,
    );
  }
  const { lifetime, touchAfter, deadline, maxBytes, cleanup, onEvent } = resolveOptions({
    absoluteTimeout: '400d',
    ...rest,
  });
  return { entity, lifetime, touchAfter, deadline, maxBytes, cleanup, emit: guarded(onEvent) };
}

/** A listener that throws must not fail the request that it was told about. */
function guarded(listener: ((event: SessionEvent) => void) | undefined): (event: SessionEvent) => void {
  return (event) => {
    try {
      listener?.(event);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : 'onEvent threw what is no Error';
      process.emitWarning(text, 'SessionWarning');
    }
  };
}
