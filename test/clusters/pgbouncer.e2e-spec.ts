import { SessionEntity } from 'nestjs-typeorm-session';
import { PgBouncer } from '../../scripts/engines/pgbouncer.mjs';
import { describeContract } from '../support/describe-contract.js';
import { createDatabase } from '../support/database.js';
import type { DatabaseKind } from '../support/databases.js';
import { describeEngine } from '../support/engines.js';

/**
 * In transaction mode each statement may run on another connection of the server. Two of them for two nodes: a statement
 * prepared by name, a setting or a lock that outlives its transaction would meet somebody else's.
 */
const pgbouncer: DatabaseKind = {
  name: 'PgBouncer',
  entity: SessionEntity,
  nodes: 2,
  garbage: ['[]'],
  async create() {
    const { url, drop } = await createDatabase();
    const bouncer = await PgBouncer.start(url, { poolSize: 2 });
    return {
      typeorm: { type: 'postgres', url: bouncer.url() },
      async drop() {
        await bouncer.close();
        await drop();
      },
    };
  },
};

describeEngine('a session through PgBouncer in transaction mode on fastify', ['pgbouncer'], () =>
  describeContract(pgbouncer, 'fastify'),
);
