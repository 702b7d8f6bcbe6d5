import type { Server } from 'node:http';
import {
  Inject,
  Logger,
  Module,
  type DynamicModule,
  type NestModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { APP_GUARD, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { SessionConfigError } from '../core/errors.js';
import type { SessionEvent } from '../core/events.js';
import type { ResolvedSessionOptions } from '../core/options.js';
import { resolveOptions } from '../core/resolve-options.js';
import type { SessionContext } from '../core/session-context.js';
import type { SessionStore } from '../core/store.js';
import { cacheByTime, createStore } from '../storage/create-store.js';
import { Session as SessionEntity } from '../storage/entities/postgres-session.entity.js';
import { CurrentSession, enterRequest, enterRequests } from './current-session.js';
import { LegacyStore } from './legacy-sessions.js';
import { registerApplication } from './open-session.js';
import { prepareExpress, RequestSessions } from './request-sessions.js';
import { loadSchemaCheck } from './schema-check.js';
import { SessionCleanupService } from './session-cleanup.service.js';
import { SessionHealthIndicator } from './session-health.indicator.js';
import { openAhead } from './session-property.js';
import { SessionException } from './session.exception.js';
import { SessionGuard } from './session.guard.js';
import {
  resolveLate,
  splitOptions,
  type SessionModuleAsyncOptions,
  type SessionModuleOptions,
  type SessionOptionsFactory,
  type SessionStaticOptions,
} from './session.options.js';
import { SessionService } from './session.service.js';
import { SESSION_CONTEXT, SESSION_LEGACY, SESSION_OPTIONS, SESSION_STORE } from './session.tokens.js';

const logger = new Logger('Session');

/** The static options, for the module itself. */
const SESSION_STATIC_OPTIONS = Symbol.for('nestjs-typeorm-session.static-options');

/**
 * Sessions for the application, kept in its own database. Import it once, in the root module; it is global.
 */
@Module({})
export class SessionModule implements NestModule, OnModuleInit, OnApplicationShutdown {
  private isInFront = false;

  constructor(
    @Inject(SESSION_STATIC_OPTIONS) private readonly options: SessionStaticOptions,
    @Inject(SESSION_STORE) private readonly store: SessionStore,
    @Inject(SESSION_LEGACY) private readonly legacy: LegacyStore,
    @Inject(RequestSessions) private readonly sessions: RequestSessions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    // While NestFactory.create() runs, so that it stands in front of what main.ts adds afterwards.
    this.openInFront();
    // A testing module is built before it has an adapter, and Nest 11.0 does not tell when it has: see configure().
    (adapterHost as Partial<HttpAdapterHost>).init$?.subscribe(() => this.openInFront());
  }

  /** @throws SessionConfigError for a wrong option, at once. */
  static forRoot(options: SessionModuleOptions = {}): DynamicModule {
    const { fixed, rest } = splitOptions(options);
    return assemble(fixed, [{ provide: SESSION_OPTIONS, useValue: resolveOptions(rest) }]);
  }

  /**
   * Options from a factory. `guardAll`, `dataSource`, `entity`, `store`, `currentSession`, `requestSession` and
   * `expressPrototypes` stand beside it.
   */
  static forRootAsync(options: SessionModuleAsyncOptions): DynamicModule {
    const { fixed, rest } = splitOptions(options);
    return assemble(fixed, asyncProviders(rest), rest.imports);
  }

  configure(): void {
    const { httpAdapter } = this.adapterHost;
    // An application context without HTTP, such as a command, has no adapter to stand in front of.
    if (!httpAdapter?.getInstance()) return;
    registerApplication(httpAdapter.getInstance<object>(), this.sessions);
    if (httpAdapter.getType() === 'express') {
      const server = httpAdapter.getHttpServer() as Server | undefined;
      prepareExpress(httpAdapter.getInstance(), server, this.options.expressPrototypes ?? true);
    }
    if (this.options.currentSession) enterRequests(httpAdapter);
    this.openInFront();
  }

  private openInFront(): void {
    const { httpAdapter } = this.adapterHost;
    if (!this.options.requestSession || this.isInFront || !httpAdapter?.getInstance()) return;
    this.isInFront = true;
    if (this.options.currentSession) httpAdapter.use(enterRequest);
    httpAdapter.use(openAhead(httpAdapter, this.sessions));
  }

  async onModuleInit(): Promise<void> {
    const copies = [...this.modules.values()].filter(({ metatype }) => metatype === SessionModule);
    if (copies.length > 1) {
      throw new SessionConfigError(
        'SessionModule.forRoot() is imported more than once. Import it in the root module alone: it is global, so other modules need no import.',
      );
    }
    await this.store.check();
    await this.legacy.check();
  }

  /** The server is closed by then: no request is under way. */
  async onApplicationShutdown(): Promise<void> {
    await this.store.close?.();
    await this.legacy.close();
  }
}

function assemble(
  fixed: SessionStaticOptions,
  options: Provider[],
  imports: DynamicModule['imports'] = [],
): DynamicModule {
  const { imports: storeImports, providers: stores } = storeOf(fixed);
  return {
    module: SessionModule,
    global: true,
    imports: [...imports, ...storeImports],
    providers: [
      ...options,
      { provide: SESSION_STATIC_OPTIONS, useValue: fixed },
      ...stores,
      { provide: SESSION_CONTEXT, inject: [SESSION_OPTIONS, SESSION_STORE, SESSION_LEGACY], useFactory: createContext },
      RequestSessions,
      SessionGuard,
      SessionService,
      CurrentSession,
      SessionCleanupService,
      SessionHealthIndicator,
      ...(fixed.guardAll ? [{ provide: APP_GUARD, useExisting: SessionGuard }] : []),
    ],
    exports: [
      RequestSessions,
      SessionGuard,
      SessionService,
      CurrentSession,
      SessionCleanupService,
      SessionHealthIndicator,
    ],
  };
}

/** The application's own store, or one for its data source. */
function storeOf(fixed: SessionStaticOptions): { imports: DynamicModule[]; providers: Provider[] } {
  const { store } = fixed;
  if (store) {
    const cached = ({ cache }: ResolvedSessionOptions) => (cache ? cacheByTime(store, cache) : store);
    return {
      imports: [],
      providers: [
        { provide: SESSION_STORE, inject: [SESSION_OPTIONS], useFactory: cached },
        { provide: SESSION_LEGACY, inject: [SESSION_OPTIONS], useFactory: legacyStoreOf },
      ],
    };
  }
  const entity = fixed.entity ?? SessionEntity;
  return {
    imports: [TypeOrmModule.forFeature([entity], fixed.dataSource)],
    providers: [
      {
        provide: SESSION_STORE,
        inject: [SESSION_OPTIONS, getDataSourceToken(fixed.dataSource)],
        useFactory: (options: ResolvedSessionOptions, dataSource: DataSource) => {
          const { deadline, maxBytes, preparedStatements, cache } = options;
          const warn = (sentence: string) => logger.warn(sentence);
          const limits = { deadline, maxBytes, preparedStatements };
          return createStore(dataSource, entity, limits, warn, cache, emitterOf(options));
        },
      },
      {
        provide: SESSION_LEGACY,
        inject: [SESSION_OPTIONS, getDataSourceToken(fixed.dataSource)],
        useFactory: legacyStoreOf,
      },
    ],
  };
}

function asyncProviders({ useFactory, inject, useClass, useExisting }: SessionModuleAsyncOptions): Provider[] {
  const given = [useFactory, useClass, useExisting].filter((way) => way !== undefined);
  if (given.length !== 1) {
    throw new SessionConfigError('SessionModule.forRootAsync() needs one of useFactory, useClass and useExisting.');
  }
  if (useFactory) {
    const resolve = async (...dependencies: unknown[]) => resolveLate(await useFactory(...dependencies));
    return [{ provide: SESSION_OPTIONS, inject: inject ?? [], useFactory: resolve }];
  }
  const factory = (useClass ?? useExisting)!;
  const resolve = async (instance: SessionOptionsFactory) => resolveLate(await instance.createSessionOptions());
  const provider = { provide: SESSION_OPTIONS, inject: [factory], useFactory: resolve };
  return useClass ? [useClass, provider] : [provider];
}

function legacyStoreOf(options: ResolvedSessionOptions, dataSource?: DataSource): LegacyStore {
  return new LegacyStore(options, dataSource, logger);
}

async function createContext(
  options: ResolvedSessionOptions,
  store: SessionStore,
  legacy: LegacyStore,
): Promise<SessionContext> {
  return {
    store,
    options,
    legacy: legacy.sessions,
    schema: options.schema && (await loadSchemaCheck(options.schema)),
    toError: (info) => new SessionException(info),
    emit: emitterOf(options),
    report,
  };
}

function emitterOf({ onEvent }: ResolvedSessionOptions): (event: SessionEvent) => void {
  return guarded(onEvent ?? logEvent);
}

/** A listener that throws must not fail the request that it was told about. */
function guarded(listener: (event: SessionEvent) => void): (event: SessionEvent) => void {
  return (event) => {
    try {
      listener(event);
    } catch (error) {
      report(error);
    }
  };
}

function report(error: unknown): void {
  logger.error(error instanceof Error ? error.stack : 'an error that is no Error');
}

function logEvent(event: SessionEvent): void {
  const { type, ...details } = event;
  const text = `${type} ${JSON.stringify(details)}`;
  if (isOrdinary(event)) logger.debug(text);
  else logger.warn(text);
}

function isOrdinary(event: SessionEvent): boolean {
  // Of a cache that goes by time alone a warning has said it in a sentence.
  if (event.type === 'cache') return event.state !== 'bypassed';
  if (event.type === 'migrated') return event.lost.length === 0;
  return event.type === 'cleanup' || event.type === 'migration-ended';
}
