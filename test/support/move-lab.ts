import { Controller, Get } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, jest } from '@jest/globals';
import {
  connectPgSimple,
  SkipSession,
  type ConnectPgSimpleOptions,
  type SessionModuleOptions,
} from 'nestjs-typeorm-session';
import { startApp, type Platform } from './app.js';
import type { Client } from './client.js';
import { createDatabase, migrate } from './database.js';
import { Lab, LabController } from './lab.js';
import { OLD_SECRET, oldTable, startOldNode, type OldNode } from './old-node.js';
import { startPostgresProxy } from './postgres-proxy.js';

export const NEW_SECRET = 'b'.repeat(20) + 'a'.repeat(20);

/** A day that no test will see. */
export const NEVER_OVER = '2999-12-31';

@Controller()
class QuietController {
  @Get('quiet')
  quiet() {
    return {};
  }

  @Get('skipped')
  @SkipSession()
  skipped() {
    return {};
  }
}

/** Two nodes of ours beside one of the release before, on one database. */
export class MoveLab extends Lab {
  old!: OldNode;

  /** A visitor who has been at the old node alone. */
  async oldVisitor(data: Record<string, unknown> = { cart: ['sencha'] }): Promise<Client> {
    const client = this.old.client();
    await client.post('/data', data);
    return client;
  }

  /** The same who is signed in there. */
  async signedInVisitor(user = 'ann', data: Record<string, unknown> = { cart: ['sencha'] }): Promise<Client> {
    const client = await this.oldVisitor(data);
    await client.post('/sign-in', { user });
    return client;
  }

  atOld(client: Client): Client {
    return client.at(this.old.url);
  }

  async oldData(client: Client): Promise<Record<string, unknown>> {
    return (await this.atOld(client).get<Record<string, unknown>>('/data')).body;
  }

  oldRows(): Promise<{ sid: string; sess: Record<string, unknown>; expire: Date }[]> {
    return this.database.query('SELECT sid, sess, expire::timestamptz AS expire FROM session');
  }
}

export interface MoveOptions {
  readonly session?: SessionModuleOptions;
  readonly from?: Partial<ConnectPgSimpleOptions>;
}

export function useMoveLab(platform: Platform, { session, from }: MoveOptions = {}): MoveLab {
  const lab = new MoveLab();
  jest.setTimeout(30_000);

  beforeAll(async () => {
    lab.database = await createDatabase();
    await migrate(lab.database.url);
    await lab.database.query(await oldTable());
    lab.old = await startOldNode(lab.database.url, { maxAge: 3_600_000 });
    lab.proxy = await startPostgresProxy(lab.database.url);
    const migrateFrom = connectPgSimple({ secrets: [OLD_SECRET], until: NEVER_OVER, ...from });
    const options = { deadline: '15s', secrets: [NEW_SECRET], migrateFrom, ...session };
    const controllers = [LabController, QuietController];
    const start = () => startApp({ platform, databaseUrl: lab.proxy.url, controllers, session: options });
    lab.nodes = [await start(), await start()];
  });

  beforeEach(async () => {
    lab.proxy.mode = 'pass';
    lab.proxy.beforeStatement = undefined;
    await lab.database.query('DELETE FROM sessions');
    await lab.database.query('DELETE FROM session');
    for (const node of lab.nodes) node.events.splice(0);
    lab.proxy.reset();
  });

  afterAll(async () => {
    for (const node of lab.nodes ?? []) await node.close();
    await lab.old?.close();
    await lab.proxy?.close();
    await lab.database?.drop();
  });

  return lab;
}
