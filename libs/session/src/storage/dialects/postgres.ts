import { channelOf, PostgresAnnouncements } from '../cache/postgres-announcements.js';
import type { RawRow } from '../connection.js';
import { openListener } from '../drivers/node-postgres-listener.js';
import { NodePostgresPool } from '../drivers/node-postgres.js';
import { StatementCalls } from '../drivers/statement-calls.js';
import { StatementNames } from '../drivers/statement-names.js';
import { connectPool } from '../pooled-runner.js';
import type { SessionTable } from '../session-table.js';
import { ANY_HASH } from './asked-hashes.js';
import { SESSION_INDICES, type FoundRow, type SessionDialect, type SessionOperations } from './dialect.js';
import { functionsIn, statementFunctions } from './postgres-functions.js';
import { addFound, sessionIn } from './postgres-rows.js';
import { postgresStatements } from './postgres-statements.js';
import { affectedBy, expiriesOf, expiryOf, lookOf, numberFrom, rowOf } from './rows.js';

export const postgresDialect: SessionDialect = {
  types: ['postgres'],
  placeholder: (position) => `$${position}`,
  columnsName: 'PostgresSessionColumns',

  preparesStatements: true,

  connect(dataSource, warn, prepares) {
    const calls = new StatementCalls(warn);
    const pool = new NodePostgresPool(dataSource, { names: prepares ? new StatementNames() : undefined, calls });
    if (!pool.limitsConnecting) {
      warn(
        'The data source sets no time limit on connecting, so a database that stops answering can fill the pool for minutes. ' +
          'Set connectTimeoutMS (2000, say) in TypeOrmModule.forRoot().',
      );
    }
    return {
      ...connectPool(pool),
      async findFunctions(connection, table) {
        // What is prepared by name needs none.
        if (prepares) return;
        const wanted = statementFunctions(table);
        const found = await functionsIn(connection, wanted);
        calls.learn(found);
        if (found.length === 0 || found.length === wanted.length) return;
        warn(
          `Of the ${wanted.length} functions that this version has for its session statements, ${found.length} are in the database and may be called. ` +
            'The other statements are planned each time. Run the migration CreateSessionFunctions of this version, and grant EXECUTE on what it makes.',
        );
      },
    };
  },

  operations: postgresOperations,
  functions: statementFunctions,

  announcements(dataSource, { label }, runner, { emit, warn }) {
    return new PostgresAnnouncements({
      channel: channelOf(label),
      listen: (channel, events) => openListener(dataSource, channel, events),
      async notify(channel, payload, milliseconds) {
        const statement = { sql: 'SELECT pg_notify($1, $2)', parameters: [channel, payload] };
        await runner.run((connection) => connection.run(statement), milliseconds);
      },
      emit,
      warn: () =>
        warn(
          'The session cache hears no notifications, as behind a PgBouncer that pools by transaction. It goes by time alone: ' +
            'what other nodes do to a session is seen after up to cache.maxAge.',
        ),
    });
  },

  async readOnlyReason(connection) {
    const sql =
      "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' " +
      "WHEN current_setting('transaction_read_only') = 'on' THEN 'read-only' END";
    const { rows } = await connection.run({ sql, parameters: [] });
    return rows[0]?.[0] ?? undefined;
  },

  problemOf(sqlState) {
    const problems = { '42P01': 'no-table', '42703': 'no-column', '42501': 'no-permission' } as const;
    return problems[sqlState as keyof typeof problems];
  },

  table: {
    name: 'sessions',
    columns: [
      { name: 'id', type: 'uuid', isPrimary: true },
      { name: 'token_hash', type: 'bytea' },
      { name: 'data', type: 'jsonb' },
      { name: 'user_id', type: 'varchar', length: '255', isNullable: true },
      { name: 'version', type: 'integer' },
      { name: 'created_at', type: 'timestamptz' },
      { name: 'touched_at', type: 'timestamptz' },
      { name: 'expires_at', type: 'timestamptz' },
      { name: 'absolute_expires_at', type: 'timestamptz' },
      { name: 'idle_timeout', type: 'bigint' },
      { name: 'persistent', type: 'boolean' },
      { name: 'previous_token_hash', type: 'bytea', isNullable: true },
      { name: 'previous_token_until', type: 'timestamptz', isNullable: true },
      { name: 'last_write', type: 'uuid' },
    ],
    indices: SESSION_INDICES,
  },
  // Room in each page for the next version of a row, which then needs no new entries in the indexes.
  tableSettings: ['ALTER TABLE "sessions" SET (fillfactor = 85)'],
};

function postgresOperations(table: SessionTable, announces = false): SessionOperations {
  const statements = postgresStatements(table, announces);
  return {
    create: (session, mark) => expiryOf(statements.create(session, mark)),
    createMany: (creations) => expiriesOf(statements.createMany(creations), creations.length),

    find(asked) {
      const statement = statements.find(asked);
      return async (connection) => {
        const found: FoundRow[] = [];
        for (const row of (await connection.run(statement)).rows) addFound(found, asked, row);
        return found;
      };
    },

    look: (id, tokenHash, key, mark) => rowOf(statements.look(id, tokenHash, key, mark), lookOf),
    update: (ref, delta, touchAfter, mark) => expiryOf(statements.update(ref, delta, touchAfter, mark)),
    touch: (ref, touchAfter) => expiryOf(statements.touch(ref, touchAfter)),
    updateMany: (updates) => expiriesOf(statements.updateMany(updates), updates.length),
    touchMany: (touches) => expiriesOf(statements.touchMany(touches), touches.length),
    replace: (ref, replacement, delta, touchAfter, mark) =>
      expiryOf(statements.replace(ref, replacement, delta, touchAfter, mark)),

    apply(ref, operation, maxBytes, mark) {
      const statement =
        operation.kind === 'take'
          ? statements.take(ref, operation.key, mark)
          : statements.apply(ref, operation, maxBytes, mark);
      return rowOf(statement, valueOf);
    },

    retime: (ref, delta, lifetime, mark) => expiryOf(statements.retime(ref, delta, lifetime, mark)),

    delete(ref) {
      const deleted = affectedBy(statements.delete(ref));
      return async (connection) => (await deleted(connection)) > 0;
    },

    deleteExpired: (limit) => affectedBy(statements.deleteExpired(limit)),

    list(limit) {
      const statement = statements.list(limit);
      return async (connection) => {
        const { rows } = await connection.run(statement);
        return rows.map((row) => sessionIn(ANY_HASH, row)).filter((row) => row !== undefined);
      };
    },

    count: () => numberFrom(statements.count()),
    deleteAny: (limit) => affectedBy(statements.deleteAny(limit)),
  };
}

function valueOf([value]: RawRow): { value: string | undefined } {
  return { value: value ?? undefined };
}
