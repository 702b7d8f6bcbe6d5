import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { ResolvedSessionOptions } from '../core/options.js';
import type { SessionContext } from '../core/session-context.js';
import { scheduleCleanup } from '../maintenance/schedule-cleanup.js';
import { SessionCleanup, type CleanupResult } from '../maintenance/session-cleanup.js';
import { SESSION_CONTEXT } from './session.tokens.js';

/** Name of the interval in the registry of `@nestjs/schedule`. */
const INTERVAL_NAME = 'nestjs-typeorm-session:cleanup';
/** Rows per DELETE where the schedule is off and `run()` is called by hand. */
const DEFAULT_BATCH_SIZE = 1000;

/** As much of `@nestjs/schedule` as the clean-up needs. */
interface Registry {
  addInterval(name: string, interval: unknown): void;
  doesExist(type: 'interval', name: string): boolean;
  deleteInterval(name: string): void;
}

/** Runs the clean-up of expired sessions on a schedule, and by hand. */
@Injectable()
export class SessionCleanupService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly cleanup: SessionCleanup;
  private readonly schedule: ResolvedSessionOptions['cleanup'];
  private timer: NodeJS.Timeout | undefined;
  private registry: Registry | undefined;

  constructor(
    @Inject(SESSION_CONTEXT) { store, options, emit }: SessionContext,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {
    this.schedule = options.cleanup;
    this.cleanup = new SessionCleanup(store, options.cleanup?.batchSize ?? DEFAULT_BATCH_SIZE, emit);
  }

  /**
   * Deletes expired sessions now; a call while a run is under way joins it.
   *
   * @throws SessionStoreError where the database is away.
   */
  run(): Promise<CleanupResult> {
    return this.cleanup.run();
  }

  async onApplicationBootstrap(): Promise<void> {
    if (!this.schedule) return;
    const { interval } = this.schedule;
    this.timer = scheduleCleanup(this.cleanup, interval);
    this.registry = await findRegistry(this.moduleRef);
    this.registry?.addInterval(INTERVAL_NAME, this.timer);
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    if (this.registry?.doesExist('interval', INTERVAL_NAME)) this.registry.deleteInterval(INTERVAL_NAME);
    await this.cleanup.stop();
  }
}

/**
 * The registry of the application's own `ScheduleModule`, if it has one. We never import that module: a second one makes
 * every `@Cron` of the application fire twice.
 */
async function findRegistry(moduleRef: ModuleRef): Promise<Registry | undefined> {
  try {
    const { SchedulerRegistry } = await import('@nestjs/schedule');
    return moduleRef.get(SchedulerRegistry, { strict: false });
  } catch {
    return undefined;
  }
}
