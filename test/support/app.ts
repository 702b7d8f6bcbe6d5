import type { AddressInfo } from 'node:net';
import type { DynamicModule, INestApplication, Provider, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { TypeOrmModule, type TypeOrmModuleOptions } from '@nestjs/typeorm';
import { SessionModule, type SessionEvent, type SessionModuleOptions } from 'nestjs-typeorm-session';

import { Client } from './client.js';

/** What every behaviour is tested on. */
export const PLATFORMS = ['express', 'fastify'] as const;
export type Platform = (typeof PLATFORMS)[number];

export interface TestAppOptions {
  readonly platform: Platform;
  /** A PostgreSQL; another database stands in `typeorm`. */
  readonly databaseUrl?: string;
  readonly controllers?: Type[];
  readonly providers?: Provider[];
  readonly imports?: (DynamicModule | Type)[];
  readonly session?: SessionModuleOptions;
  /** Instead of `session`: a module made with `forRootAsync`, say. */
  readonly sessionModule?: DynamicModule;
  readonly typeorm?: Partial<TypeOrmModuleOptions>;
  /** Connections of the application's pool, on PostgreSQL. */
  readonly poolSize?: number;
  /** Of the platform. Default: one without options. */
  readonly adapter?: ExpressAdapter | FastifyAdapter;
  /** Runs before the application listens: middleware, plugins, global pipes. */
  readonly prepare?: (app: INestApplication) => unknown;
}

export interface TestApp {
  readonly app: INestApplication;
  readonly url: string;
  /** Events of the session module so far. */
  readonly events: SessionEvent[];
  client(): Client;
  close(): Promise<void>;
}

/** A real application on a real socket. */
export async function startApp(options: TestAppOptions): Promise<TestApp> {
  const events: SessionEvent[] = [];
  const { platform, databaseUrl, controllers = [], providers = [], imports = [], poolSize = 10 } = options;
  const pool = options.typeorm?.type ? {} : { extra: { max: poolSize } };
  const typeorm = { type: 'postgres', url: databaseUrl, autoLoadEntities: true, ...pool, ...options.typeorm };
  const session =
    options.sessionModule ??
    SessionModule.forRoot({
      guardAll: true,
      cleanup: false,
      onEvent: (event) => events.push(event),
      ...options.session,
    });
  const root = class TestModule {};
  const module: DynamicModule = {
    module: root,
    imports: [TypeOrmModule.forRoot({ ...typeorm, retryAttempts: 0 } as TypeOrmModuleOptions), session, ...imports],
    controllers,
    providers,
  };
  const adapter = options.adapter ?? (platform === 'express' ? new ExpressAdapter() : new FastifyAdapter());
  const app = await NestFactory.create<INestApplication>(module, adapter, { logger: false, abortOnError: false });
  try {
    await options.prepare?.(app);
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close().catch(() => undefined);
    throw error;
  }
  const { port } = app.getHttpServer().address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return { app, url, events, client: () => new Client(url), close: () => app.close() };
}
