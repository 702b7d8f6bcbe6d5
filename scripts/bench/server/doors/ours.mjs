// The library as it is built, from the worktree that the benchmark runs in.
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  CurrentSession,
  Session,
  SessionModule,
  SessionService,
} from '../../../../libs/session/dist/esm/index.js';
import { POOL_SIZE } from '../../variants.mjs';

const MIGRATIONS = { CreateSessions1764000000000, CreateSessionFunctions1764300000000 };
const INJECTED = { CurrentSession, SessionService };

export function openDoor({ variant, url }) {
  return {
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url,
        autoLoadEntities: true,
        migrations: variant.migrations.map((name) => MIGRATIONS[name]),
        migrationsRun: true,
        connectTimeoutMS: 2000,
        poolSize: POOL_SIZE,
        retryAttempts: 0,
      }),
      SessionModule.forRoot(variant.options),
    ],
    Parameter: Session,
    injected: INJECTED[variant.injected],
    get: (session, key) => session.get(key),
    set: (session, key, value) => session.set(key, value),
    async signIn(session, data) {
      for (const [key, value] of Object.entries(data)) session.set(key, value);
      await session.login(data.visitor, { keep: Object.keys(data) });
    },
  };
}
