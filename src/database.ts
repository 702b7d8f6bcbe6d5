import { CreateSessionFunctions1764300000000, CreateSessions1764000000000 } from 'nestjs-typeorm-session';
import type { DataSourceOptions } from 'typeorm';
import { primaryClient } from './primary-client.js';

/**
 * The database of the application and of the TypeORM CLI (ormconfig.ts). The table of the sessions comes with a
 * migration, as every other table of an application does: `synchronize` would drop columns in production.
 */
export function databaseOptions(env: NodeJS.ProcessEnv = process.env): DataSourceOptions {
  // Several servers of which one is the primary, separated by blanks. They differ in host and port alone.
  const urls = (env.DATABASE_URL ?? '').split(/\s+/).filter(Boolean);
  const [url] = urls;
  if (!url) {
    throw new Error('DATABASE_URL is not set. For example: DATABASE_URL=postgres://user:password@127.0.0.1:5432/shop');
  }
  return {
    type: 'postgres',
    url,
    // Without it, a database that stops answering fills the pool with attempts that wait for minutes.
    connectTimeoutMS: 2000,
    ...(urls.length > 1 ? { extra: { Client: primaryClient(urls) } } : {}),
    migrations: [CreateSessions1764000000000, CreateSessionFunctions1764300000000],
  };
}
