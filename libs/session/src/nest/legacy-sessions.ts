import { Logger } from '@nestjs/common';
import { SessionConfigError } from '../core/errors.js';
import type { ConnectedLegacySessions, LegacySessions } from '../core/legacy/legacy-sessions.js';
import type { ResolvedSessionOptions } from '../core/options.js';

/** The store of `migrateFrom`, for as long as it counts. */
export class LegacyStore {
  readonly sessions: LegacySessions | undefined;
  readonly #table: ConnectedLegacySessions | undefined;

  /** @param dataSource of the sessions, where they are in one. */
  constructor({ migrateFrom, deadline }: ResolvedSessionOptions, dataSource: object | undefined, logger: Logger) {
    if (!migrateFrom) return;
    if (migrateFrom.until <= Date.now()) {
      logger.warn('migrateFrom.until is over: the old cookie is not looked at any more. Remove migrateFrom.');
      return;
    }
    const { source } = migrateFrom;
    if (!('connect' in source)) {
      this.sessions = source;
      return;
    }
    if (!dataSource) {
      throw new SessionConfigError(
        'migrateFrom names a table, and the sessions are in a store without a data source. Give migrateFrom the functions read and remove.',
      );
    }
    this.sessions = this.#table = source.connect(dataSource, deadline);
  }

  /** @throws SessionConfigError where the old table cannot be read. */
  async check(): Promise<void> {
    await this.#table?.check();
  }

  async close(): Promise<void> {
    await this.#table?.close();
  }
}
