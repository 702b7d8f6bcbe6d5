import { hash } from 'node:crypto';
import type { Delta, NewSession } from '../../core/store.js';
import { StatementError, type Connection, type Statement } from '../connection.js';
import type { SessionTable } from '../session-table.js';
import { AskedHashes } from './asked-hashes.js';
import type { DatabaseFunction } from './dialect.js';
import { postgresStatements } from './postgres-statements.js';

/** A statement that the database keeps as a function: each of its processes makes the plan once, and nothing needs a name. */
export interface StatementFunction extends DatabaseFunction {
  /** The statement that it stands for. */
  readonly sql: string;
  /** What calls it, with the same parameters. */
  readonly call: string;
  /** Its name and the types of its parameters. */
  readonly signature: string;
}

// The text of a statement is the same whatever the values are: these are as good as any.
const ID = '00000000-0000-0000-0000-000000000000';
const HASHES = [Buffer.alloc(32, 0), Buffer.alloc(32, 1)];
const REF = { id: ID, tokenHash: HASHES[0]! };
const LIFETIME = { idleTimeout: 1, absoluteTimeout: 1, persistent: false };
const SESSION: NewSession = { ...REF, ...LIFETIME, userId: undefined, data: {} };
const SET: Delta = { set: { key: '1' }, unset: [] };

/** What nearly all requests send: a look-up, a session that begins, and keys that are set while no touch is due. */
export function statementFunctions(table: SessionTable): StatementFunction[] {
  const statements = postgresStatements(table);
  const creation = { session: SESSION, mark: ID };
  const update = { ref: REF, delta: SET, touchAfter: Infinity, mark: ID };
  const functionOf = (verb: string, statement: Statement, answer: readonly string[], volatility?: 'STABLE') =>
    statementFunction(schemaOf(table), verb, statement, answer, volatility);
  return [
    functionOf('find', statements.find(new AskedHashes([HASHES[0]!])), ['text', 'jsonb'], 'STABLE'),
    functionOf('find_many', statements.find(new AskedHashes(HASHES)), ['text', 'jsonb'], 'STABLE'),
    functionOf('create', statements.create(SESSION, ID), ['float8']),
    functionOf('create_many', statements.createMany([creation]), ['integer', 'float8']),
    functionOf('update', statements.update(REF, SET, Infinity, ID), ['float8']),
    functionOf('update_many', statements.updateMany([update]), ['integer', 'float8']),
  ];
}

/**
 * @param answer the types of the columns that the statement answers with.
 * @param volatility STABLE sees what its caller sees, and needs no snapshot of its own. Default: VOLATILE, as what writes has to be.
 */
function statementFunction(
  schema: string,
  verb: string,
  { sql }: Statement,
  answer: readonly string[],
  volatility: 'STABLE' | 'VOLATILE' = 'VOLATILE',
): StatementFunction {
  const types = parameterTypes(sql);
  // Names of columns in the statement are those of the table, whatever they are, and never these.
  const columns = answer.map((type, index) => `answer_${index + 1} ${type}`).join(', ');
  // A plan for the values of one call would be made again for the next, as long as it is thought the cheaper one.
  const definition =
    `(${types.join(', ')}) RETURNS TABLE (${columns}) LANGUAGE plpgsql ${volatility} SET plan_cache_mode = force_generic_plan AS ` +
    `$session$\n#variable_conflict use_column\nBEGIN\n  RETURN QUERY ${sql.replace(PARAMETER, '$$$1')};\nEND\n$session$`;
  // Another version of the statement is another function: nodes of both may run.
  const name = `${schema}session_${verb}_${hash('sha256', definition).slice(0, 12)}`;
  const signature = `${name}(${types.join(', ')})`;
  return {
    sql,
    signature,
    call: `SELECT * FROM ${name}(${types.map((type, index) => `$${index + 1}::${type}`).join(', ')})`,
    create: `CREATE OR REPLACE FUNCTION ${name}${definition}`,
    drop: `DROP FUNCTION IF EXISTS ${signature}`,
  };
}

/** Those that are there in this version, and that the user may call. */
export async function functionsIn(
  connection: Connection,
  functions: readonly StatementFunction[],
): Promise<StatementFunction[]> {
  const sql =
    'SELECT signature FROM unnest($1::text[]) AS signature ' +
    "WHERE has_function_privilege(to_regprocedure(signature)::oid, 'EXECUTE')";
  try {
    const { rows } = await connection.run({ sql, parameters: [functions.map(({ signature }) => signature)] });
    const there = new Set(rows.map(([signature]) => signature));
    return functions.filter(({ signature }) => there.has(signature));
  } catch (error) {
    // A server that speaks like PostgreSQL and has no such catalog.
    if (error instanceof StatementError && error.failure === 'refused') return [];
    throw error;
  }
}

const PARAMETER = /\$(\d+)::([a-z0-9]+(?:\[\])?)/g;

/** In the order of their numbers. One may be mentioned several times. */
function parameterTypes(sql: string): string[] {
  const types: string[] = [];
  for (const [, number, type] of sql.matchAll(PARAMETER)) types[Number(number) - 1] = type!;
  return types;
}

/** The table's, with the dot: where it has none, both are found by the search path. */
function schemaOf({ name }: SessionTable): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}
