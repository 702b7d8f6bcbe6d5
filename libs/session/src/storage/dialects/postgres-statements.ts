import { MAX_COUNTER } from '../../core/atomic.js';
import { objectText } from '../../core/json-profile.js';
import type { AtomicOperation, Delta, LifetimeChange, NewSession, Replacement, SessionRef } from '../../core/store.js';
import { PREVIOUS_TOKEN_MILLISECONDS } from '../../core/token.js';
import { channelOf } from '../cache/postgres-announcements.js';
import type { Statement } from '../connection.js';
import type { SessionTable } from '../session-table.js';
import type { AskedHashes } from './asked-hashes.js';
import type { IdleLifetime, RowCreation, RowTouch, RowUpdate } from './dialect.js';
import { foundColumns } from './postgres-rows.js';

/** What answers the value that it leaves. */
type ValueOperation = Exclude<AtomicOperation, { kind: 'take' }>;

/** Milliseconds that an INSERT for many waits for a lock. */
const LOCK_MILLISECONDS = 100;

/** Collects parameters in the order in which the SQL mentions them. */
class Parameters {
  readonly values: unknown[] = [];

  /** The placeholder of a value. */
  add(value: unknown, type: string): string {
    return `$${this.values.push(value)}::${type}`;
  }

  milliseconds(value: number): string {
    return `(${this.add(value, 'float8')} * interval '1 millisecond')`;
  }

  statement(sql: string): Statement {
    return { sql, parameters: this.values };
  }
}

/**
 * The statements of sessions on PostgreSQL. Values travel beside a text, which tells only what kind of change there is.
 *
 * `clock_timestamp()` decides what is live: unlike `now()` it moves on while a statement waits
 * for a lock, so a session that somebody else wrote meanwhile is judged by the time of the write.
 */
export function postgresStatements({ name, label, columns: c }: SessionTable, announces = false) {
  /** In milliseconds. Not `extract`, whose decimal numbers cost the server more. */
  const epoch = (time: string) => `date_part('epoch', ${time}) * 1000`;
  const expiry = epoch(c.expiresAt);
  const isLive = `${c.expiresAt} > clock_timestamp()`;

  const isOurs = (ref: SessionRef, p: Parameters) =>
    `${c.id} = ${p.add(ref.id, 'uuid')} AND ${c.tokenHash} = ${p.add(ref.tokenHash, 'bytea')} AND ${isLive}`;

  const written = (mark: string, p: Parameters) =>
    `${c.version} = ${c.version} + 1, ${c.lastWrite} = ${p.add(mark, 'uuid')}`;

  const isDueAfter = (interval: string) => `${c.touchedAt} <= clock_timestamp() - ${interval}`;

  /** Moves the idle expiry, but only where it is due: an unchanged indexed column keeps the update cheap. */
  const touchedWhenDue = (interval: string) => {
    const isDue = isDueAfter(interval);
    return (
      `, ${c.touchedAt} = CASE WHEN ${isDue} THEN clock_timestamp() ELSE ${c.touchedAt} END, ` +
      `${c.expiresAt} = CASE WHEN ${isDue} THEN ${idleExpiry} ELSE ${c.expiresAt} END`
    );
  };
  const idleExpiry =
    `GREATEST(${c.expiresAt}, LEAST(${c.absoluteExpiresAt}, ` +
    `clock_timestamp() + ${c.idleTimeout} * interval '1 millisecond'))`;
  const touched = `${c.touchedAt} = clock_timestamp(), ${c.expiresAt} = ${idleExpiry}`;

  /** One moment for all, or an idle timeout as long as the absolute one would end later. */
  const begun = ({ idleTimeout, absoluteTimeout, persistent }: LifetimeChange, p: Parameters) => {
    const after = (milliseconds: number) => `statement_timestamp() + ${p.milliseconds(milliseconds)}`;
    const end = absoluteTimeout === undefined ? c.absoluteExpiresAt : after(absoluteTimeout);
    return (
      `${c.touchedAt} = statement_timestamp(), ${c.absoluteExpiresAt} = ${end}, ` +
      `${c.expiresAt} = LEAST(${end}, ${after(idleTimeout)}), ` +
      `${c.idleTimeout} = ${p.add(idleTimeout, 'bigint')}, ${c.persistent} = ${p.add(persistent, 'boolean')}`
    );
  };

  const moved = ({ lifetime }: Delta, touchAfter: number, p: Parameters) => {
    if (lifetime) return `, ${begun(lifetime, p)}`;
    return touchAfter === Infinity ? '' : touchedWhenDue(p.milliseconds(touchAfter));
  };

  /** Per top-level key, and never `jsonb_set` paths: a key may hold any character. */
  const merged = (data: string, delta: Delta, p: Parameters) => {
    let sql = data;
    if (delta.unset.length > 0) sql = `(${sql} - ${p.add(delta.unset, 'text[]')})`;
    const set = objectText(delta.set);
    return set === '{}' ? sql : `(${sql} || ${p.add(set, 'jsonb')})`;
  };

  /**
   * The rows of a batch as one array for each of their columns, and where in them a row of the table is found. All that has
   * to be joined is looked up there: a join with a table of the same rows took the server half as long again to plan.
   */
  const batchOf = (rows: readonly RowTouch[], p: Parameters) => {
    const ids = p.add(
      rows.map(({ ref }) => ref.id),
      'uuid[]',
    );
    const position = `array_position(${ids}, ${c.id})`;
    const valueIn = (values: readonly unknown[], type: string) => `(${p.add(values, `${type}[]`)})[${position}]`;
    const hash = valueIn(
      rows.map(({ ref }) => ref.tokenHash),
      'bytea',
    );
    // The locks: in the order of the ids, so that no two batches wait for each other, without waiting for what somebody else has
    // locked, and weak enough for checks of foreign keys to pass. ARRAY(…) is run once, and before the first row is written.
    const locked =
      `ARRAY(SELECT ${c.id} FROM ${name} WHERE ${c.id} = ANY(${ids}) ` +
      `ORDER BY ${c.id} FOR NO KEY UPDATE SKIP LOCKED)`;
    return {
      valueIn,
      /** The conditions on what was locked: of its newest version they may not hold any more. */
      isWanted: `${c.id} = ANY(${locked}) AND ${c.tokenHash} = ${hash} AND ${isLive}`,
      interval: () =>
        `${valueIn(rows.map(({ touchAfter }) => touchAfter).map(orNever), 'float8')} * interval '1 millisecond'`,
      answer: `${position} - 1, ${expiry}`,
    };
  };

  // Of what every request sends the text is made once: it is long, and a driver looks up by it what is prepared, or kept as a function.
  const lookUp = (hashes: string) =>
    `SELECT ${foundColumns(c)} FROM ${name} WHERE ${c.tokenHash} = ${hashes} OR ${c.previousTokenHash} = ${hashes}`;
  const findOne = lookUp('$1::bytea');
  const findMany = lookUp('ANY($1::bytea[])');

  const inserted =
    `INSERT INTO ${name} (${c.id}, ${c.tokenHash}, ${c.data}, ${c.userId}, ${c.version}, ${c.createdAt}, ` +
    `${c.touchedAt}, ${c.expiresAt}, ${c.absoluteExpiresAt}, ${c.idleTimeout}, ${c.persistent}, ${c.lastWrite})`;

  /** Told with the commit, and only of rows that were written: RETURNING is evaluated for each of them, and for no other. */
  const announcement = (p: Parameters) =>
    announces ? [`pg_notify(${p.add(channelOf(label), 'text')}, ${c.id}::text)`] : [];

  return {
    create(session: NewSession, mark: string): Statement {
      const p = new Parameters();
      const idle = p.milliseconds(Math.min(session.idleTimeout, session.absoluteTimeout));
      return p.statement(
        `${inserted} SELECT ${p.add(session.id, 'uuid')}, ${p.add(session.tokenHash, 'bytea')}, ` +
          `${p.add(objectText(session.data), 'jsonb')}, ${p.add(session.userId ?? null, 'varchar')}, 1, t, t, ` +
          `t + ${idle}, t + ${p.milliseconds(session.absoluteTimeout)}, ${p.add(session.idleTimeout, 'bigint')}, ` +
          `${p.add(session.persistent, 'boolean')}, ${p.add(mark, 'uuid')} FROM (SELECT clock_timestamp() AS t) AS clock ` +
          `RETURNING ${expiry}`,
      );
    },

    createMany(creations: readonly RowCreation[]): Statement {
      const p = new Parameters();
      const column = (type: string, valueOf: (session: NewSession) => unknown) =>
        p.add(
          creations.map(({ session }) => valueOf(session)),
          `${type}[]`,
        );
      const ids = column('uuid', ({ id }) => id);
      const columns = [
        ids,
        column('bytea', ({ tokenHash }) => tokenHash),
        column('jsonb', ({ data }) => objectText(data)),
        column('varchar', ({ userId }) => userId ?? null),
        column('float8', ({ idleTimeout, absoluteTimeout }) => Math.min(idleTimeout, absoluteTimeout)),
        column('float8', ({ absoluteTimeout }) => absoluteTimeout),
        column('bigint', ({ idleTimeout }) => idleTimeout),
        column('boolean', ({ persistent }) => persistent),
        p.add(
          creations.map(({ mark }) => mark),
          'uuid[]',
        ),
      ];
      // In the order of their hashes, so that no two batches wait for each other's tokens. Who is held up longer than a
      // moment, as by a foreign key to a user whom somebody has locked, does not hold up the others: all are undone
      // (55P03), and go one by one.
      return p.statement(
        `${inserted} SELECT new_id, hash, json, owner, 1, t, t, t + idle * interval '1 millisecond', ` +
          `t + absolute * interval '1 millisecond', timeout, outlives, mark ` +
          `FROM (SELECT clock_timestamp() AS t, set_config('lock_timeout', '${LOCK_MILLISECONDS}', true)) AS clock, ` +
          `unnest(${columns.join(', ')}) ` +
          `AS creations (new_id, hash, json, owner, idle, absolute, timeout, outlives, mark) ORDER BY hash ` +
          `RETURNING array_position(${ids}, ${c.id}) - 1, ${expiry}`,
      );
    },

    find({ hexes }: AskedHashes): Statement {
      // One scan of two indexes costs the server a quarter less than a UNION of two scans, and what is computed from the
      // row here and not there saves a lone look-up another tenth.
      return hexes.length === 1
        ? { sql: findOne, parameters: [byteaOf(hexes[0]!)] }
        : { sql: findMany, parameters: [byteaArrayOf(hexes)] };
    },

    look(id: string, tokenHash: Buffer, key: string | undefined, mark: string | undefined): Statement {
      const p = new Parameters();
      return p.statement(
        `SELECT ${isLive}, ${c.tokenHash} = ${p.add(tokenHash, 'bytea')}, ` +
          `${c.lastWrite} IS NOT DISTINCT FROM ${p.add(mark ?? null, 'uuid')}, ${c.version}, ` +
          `(${c.data} -> ${p.add(key ?? null, 'text')})::text, ${expiry} FROM ${name} WHERE ${c.id} = ${p.add(id, 'uuid')}`,
      );
    },

    update(ref: SessionRef, delta: Delta, touchAfter: number, mark: string): Statement {
      const p = new Parameters();
      return p.statement(
        `UPDATE ${name} SET ${c.data} = ${merged(c.data, delta, p)}, ${written(mark, p)}${moved(delta, touchAfter, p)} ` +
          `WHERE ${isOurs(ref, p)} RETURNING ${expiry}`,
      );
    },

    touch(ref: SessionRef, touchAfter: number): Statement {
      const p = new Parameters();
      return p.statement(
        `UPDATE ${name} SET ${touched} ` +
          `WHERE ${isOurs(ref, p)} AND ${isDueAfter(p.milliseconds(touchAfter))} RETURNING ${expiry}`,
      );
    },

    updateMany(updates: readonly RowUpdate[]): Statement {
      const p = new Parameters();
      const { valueIn, isWanted, interval, answer } = batchOf(updates, p);
      const data = [c.data];
      if (updates.some(({ delta }) => delta.unset.length > 0)) {
        const unset = updates.map(({ delta }) => arrayOf(delta.unset));
        data.push(`- ${valueIn(unset, 'text')}::text[]`);
      }
      const set = updates.map(({ delta }) => objectText(delta.set));
      data.push(`|| ${valueIn(set, 'jsonb')}`);
      const marks = updates.map(({ mark }) => mark);
      const isAnyDue = updates.some(({ touchAfter }) => touchAfter !== Infinity);
      return p.statement(
        `UPDATE ${name} SET ${c.data} = ${data.join(' ')}, ${c.version} = ${c.version} + 1, ` +
          `${c.lastWrite} = ${valueIn(marks, 'uuid')}${isAnyDue ? touchedWhenDue(interval()) : ''} ` +
          `WHERE ${isWanted} RETURNING ${answer}`,
      );
    },

    touchMany(touches: readonly RowTouch[]): Statement {
      const p = new Parameters();
      const { isWanted, interval, answer } = batchOf(touches, p);
      // No `data`: writing it back unchanged would copy what is stored out of line.
      return p.statement(
        `UPDATE ${name} SET ${touched} WHERE ${isWanted} AND ${isDueAfter(interval())} RETURNING ${answer}`,
      );
    },

    replace(
      ref: SessionRef,
      { tokenHash, isUnsent, login }: Replacement,
      delta: Delta,
      touchAfter: number,
      mark: string,
    ): Statement {
      const p = new Parameters();
      const kept =
        login &&
        `(SELECT coalesce(jsonb_object_agg(kept.key, kept.value), '{}') FROM jsonb_each(${c.data}) AS kept ` +
          `WHERE kept.key = ANY(${p.add(login.keep, 'text[]')}))`;
      return p.statement(
        `UPDATE ${name} SET ${c.tokenHash} = ${p.add(tokenHash, 'bytea')}, ` +
          `${c.previousTokenHash} = ${isUnsent ? c.previousTokenHash : c.tokenHash}, ` +
          `${c.previousTokenUntil} = clock_timestamp() + interval '${PREVIOUS_TOKEN_MILLISECONDS} milliseconds', ` +
          `${c.data} = ${merged(kept ?? c.data, delta, p)}, ${written(mark, p)}` +
          `${login ? `, ${c.userId} = ${p.add(login.userId ?? null, 'varchar')}, ${begun(login, p)}` : moved(delta, touchAfter, p)} ` +
          `WHERE ${isOurs(ref, p)} RETURNING ${[expiry, ...announcement(p)].join(', ')}`,
      );
    },

    /** The value that goes is the one that was locked, so of many callers one gets it. */
    take(ref: SessionRef, keyToTake: string, mark: string): Statement {
      const p = new Parameters();
      const key = p.add(keyToTake, 'text');
      return p.statement(
        `WITH taken AS (SELECT ${c.id} AS taken_id, ${c.data} -> ${key} AS taken_value FROM ${name} ` +
          `WHERE ${isOurs(ref, p)} AND ${c.data} ? ${key} FOR NO KEY UPDATE) ` +
          `UPDATE ${name} SET ${c.data} = ${c.data} - ${key}, ${written(mark, p)} FROM taken ` +
          `WHERE ${c.id} = taken_id RETURNING taken_value::text`,
      );
    },

    apply(ref: SessionRef, operation: ValueOperation, maxBytes: number, mark: string): Statement {
      const p = new Parameters();
      const key = p.add(operation.key, 'text');
      const { data, fits } = outcomeOf(operation, c.data, c.version, key, p);
      const size = (json: string) => `octet_length((${json})::text)`;
      // What is too large already may still shrink.
      const hasRoom = `(${size(data)} <= ${p.add(maxBytes, 'integer')} OR ${size(data)} <= ${size(c.data)})`;
      // CASE and not AND, whose order is the planner's: the size of a sum cannot be asked for where there is no number.
      return p.statement(
        `UPDATE ${name} SET ${c.data} = ${data}, ${written(mark, p)} WHERE ${isOurs(ref, p)} ` +
          `AND CASE WHEN ${fits} THEN ${hasRoom} ELSE false END RETURNING (${c.data} -> ${key})::text`,
      );
    },

    retime(ref: SessionRef, delta: Delta, { idleTimeout, persistent }: IdleLifetime, mark: string): Statement {
      const p = new Parameters();
      return p.statement(
        `UPDATE ${name} SET ${c.data} = ${merged(c.data, delta, p)}, ${written(mark, p)}, ` +
          `${c.touchedAt} = statement_timestamp(), ${c.idleTimeout} = ${p.add(idleTimeout, 'bigint')}, ` +
          `${c.persistent} = ${p.add(persistent, 'boolean')}, ${c.expiresAt} = ` +
          `LEAST(${c.absoluteExpiresAt}, statement_timestamp() + ${p.milliseconds(idleTimeout)}) ` +
          `WHERE ${isOurs(ref, p)} RETURNING ${expiry}`,
      );
    },

    delete(ref: SessionRef): Statement {
      const p = new Parameters();
      const isOurs = `${c.id} = ${p.add(ref.id, 'uuid')} AND ${c.tokenHash} = ${p.add(ref.tokenHash, 'bytea')}`;
      const returning = announcement(p).map((answer) => ` RETURNING ${answer}`);
      return p.statement(`DELETE FROM ${name} WHERE ${isOurs}${returning.join('')}`);
    },

    deleteExpired(limit: number): Statement {
      const p = new Parameters();
      // statement_timestamp() may use the index, and errs on the side of keeping. The condition stands twice: the outer one is
      // checked again on the row's newest version, so a session that was extended meanwhile stays. MATERIALIZED and ARRAY(…)
      // are run once: the planner may run IN (…) again for every row, which skips what it has locked and so has no limit.
      const isExpired = `${c.expiresAt} <= statement_timestamp()`;
      // By its place a locked row is found without an index. Partitions number their places each for itself, so the part of
      // the table counts too; inside CASE, where the planner cannot make it a join, for which it would read a whole table.
      const isDoomed = `CASE WHEN ${isExpired} THEN (tableoid, ctid) IN (SELECT part, place FROM doomed) ELSE false END`;
      return p.statement(
        `WITH doomed AS MATERIALIZED (SELECT tableoid AS part, ctid AS place FROM ${name} WHERE ${isExpired} ` +
          `ORDER BY ${c.expiresAt} LIMIT ${p.add(limit, 'integer')} FOR UPDATE SKIP LOCKED) ` +
          `DELETE FROM ${name} WHERE ctid = ANY(ARRAY(SELECT place FROM doomed)) AND ${isDoomed}`,
      );
    },

    list(limit: number): Statement {
      const p = new Parameters();
      return p.statement(
        `SELECT ${foundColumns(c)} FROM ${name} WHERE ${c.expiresAt} > statement_timestamp() LIMIT ${p.add(limit, 'integer')}`,
      );
    },

    count(): Statement {
      const sql = `SELECT count(*) FROM ${name} WHERE ${c.expiresAt} > statement_timestamp()`;
      return { sql, parameters: [] };
    },

    deleteAny(limit: number): Statement {
      const p = new Parameters();
      // In the order of the ids, as batches of updates lock them. Run once, as for deleteExpired.
      return p.statement(
        `WITH doomed AS MATERIALIZED (SELECT ${c.id} AS doomed_id FROM ${name} ORDER BY ${c.id} ` +
          `LIMIT ${p.add(limit, 'integer')} FOR UPDATE) ` +
          `DELETE FROM ${name} WHERE ${c.id} = ANY(ARRAY(SELECT doomed_id FROM doomed))`,
      );
    },
  };
}

/** The data after an operation, and the condition under which it may happen. */
function outcomeOf(
  operation: ValueOperation,
  data: string,
  version: string,
  key: string,
  p: Parameters,
): { data: string; fits: string } {
  const withKey = (value: string) => `(${data} || jsonb_build_object(${key}, ${value}))`;
  const typeIs = (type: string, then: string) =>
    `CASE WHEN coalesce(jsonb_typeof(${data} -> ${key}), '${type}') = '${type}' THEN ${then} ELSE false END`;
  switch (operation.kind) {
    case 'increment': {
      // float8 is what JSON numbers are to JavaScript: the result is the same as if it had been added there.
      const sum = `(coalesce((${data} ->> ${key})::float8, 0) + ${p.add(operation.by, 'float8')})`;
      return { data: withKey(`to_jsonb${sum}`), fits: typeIs('number', `abs(${sum}) <= ${MAX_COUNTER}`) };
    }
    case 'append': {
      const items = `(coalesce(${data} -> ${key}, '[]') || ${p.add(operation.items, 'jsonb')})`;
      return { data: withKey(items), fits: typeIs('array', 'true') };
    }
    case 'setIfAbsent':
      return { data: withKey(p.add(operation.value, 'jsonb')), fits: `NOT ${data} ? ${key}` };
    case 'compareAndSet': {
      const { value } = operation;
      return {
        data: value === undefined ? `(${data} - ${key})` : withKey(p.add(value, 'jsonb')),
        fits: `${version} = ${p.add(operation.version, 'integer')}`,
      };
    }
  }
}

/** Of type bytea, as text: https://www.postgresql.org/docs/current/datatype-binary.html */
function byteaOf(hex: string): string {
  return `\\x${hex}`;
}

/** Of type bytea[], as text. */
function byteaArrayOf(hexes: readonly string[]): string {
  return `{${hexes.map((hex) => `"\\\\x${hex}"`).join(',')}}`;
}

/** Of type text[], as text: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO */
function arrayOf(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

/** Of NULL no comparison is true. */
function orNever(touchAfter: number): number | null {
  return touchAfter === Infinity ? null : touchAfter;
}
