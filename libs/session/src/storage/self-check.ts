import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { SessionConfigError } from '../core/errors.js';
import { parseJson } from '../core/parse-json.js';
import type { JsonByKey } from '../core/store.js';
import { createToken, hashToken } from '../core/token.js';
import type { Connection } from './connection.js';
import { AskedHashes } from './dialects/asked-hashes.js';
import type { FoundRow, SessionOperations } from './dialects/dialect.js';

const HOUR = 3_600_000;
/** Clocks of one server, read by statements of one transaction. */
const MINUTE = 60_000;

/** What databases, collations and drivers are known to get wrong, all of it within the profile. */
const TORTURE: Readonly<Record<string, unknown>> = {
  text: 'Größe 😀 \u2028 " \\ \' ` $ ? : %',
  'looks like': ['123', 'true', 'null', '{"a":1}', ''],
  numbers: [0.1 + 0.2, 5e-324, 1.5e-300, Number.MAX_SAFE_INTEGER, -1, 0],
  nested: { null: null, empty: [{}, []], 'a.b': { 'a[0]': [[null]] } },
  'a.b[0]': 1,
  'quote"': 2,
  'back\\slash': 3,
  "it's": 4,
  '-1': 5,
  É: 6,
  é: 7,
  'e\u0301': 8,
  'trailing ': 9,
  trailing: 10,
};
const PATCH = { 'quote"': { null: null }, '-1': 'five', 'new.key': [TORTURE.text] };
const UNSET = ['a.b[0]', 'back\\slash'];

/**
 * Inserts, patches, reads back and deletes a session whose contents try everything that a parser, a collation or a mode of
 * the server may change. Leaves nothing behind.
 *
 * @throws SessionConfigError that says what came back differently.
 */
export function selfCheck(operations: SessionOperations, connection: Connection): Promise<void> {
  const find = (tokenHash: Buffer) => operations.find(new AskedHashes([tokenHash]))(connection);
  return connection.transaction(async () => {
    // Two hashes that differ in what a collation of text would take for the case of a letter.
    const tokenHash = hashToken(createToken());
    tokenHash[0] = 0x41;
    const otherHash = Buffer.from(tokenHash);
    otherHash[0] = 0x61;
    const ref = { id: randomUUID(), tokenHash };
    const userId = 'Ünï 😀';
    const lifetime = { idleTimeout: HOUR, absoluteTimeout: 2 * HOUR, persistent: true };

    const created = { ...ref, ...lifetime, userId, data: textsOf(TORTURE) };
    const firstExpiry = await operations.create(created, randomUUID())(connection);
    const found = sessionOf(await find(tokenHash));
    expectSame('the first expiry', firstExpiry, found.expiresAt);
    expectSame('the data', parseJson(found.data), TORTURE);
    expectSame('the user id', found.userId, userId);
    expectSame('the lifetime', [found.idleTimeout, found.persistent], [HOUR, true]);
    const times = [found.remaining - HOUR, found.absoluteRemaining - 2 * HOUR, found.sinceTouched];
    if (times.some((difference) => Math.abs(difference) > MINUTE)) {
      throw differs('the times');
    }
    expectSame('a similar token', await find(otherHash), []);

    const expiresAt = await operations.update(
      ref,
      { set: textsOf(PATCH), unset: UNSET },
      HOUR,
      randomUUID(),
    )(connection);
    expectSame('the expiry', expiresAt, found.expiresAt);
    const taken = await operations.apply(ref, { kind: 'take', key: "it's" }, 65_536, randomUUID())(connection);
    expectSame('a value that was taken', taken?.value, '4');
    const patched = sessionOf(await find(tokenHash));
    const gone = [...UNSET, "it's"];
    const rest = Object.entries({ ...TORTURE, ...PATCH }).filter(([key]) => !gone.includes(key));
    expectSame('the changed data', parseJson(patched.data), Object.fromEntries(rest));

    expectSame('a deletion', await operations.delete(ref)(connection), true);
    expectSame('a deleted session', await find(tokenHash), []);
  });
}

function textsOf(values: Readonly<Record<string, unknown>>): JsonByKey {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, JSON.stringify(value)]));
}

function sessionOf([row]: readonly FoundRow[]) {
  if (row?.found.status === 'live') return row.found.session;
  throw differs('the session');
}

function expectSame(what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) throw differs(what);
}

function differs(what: string): SessionConfigError {
  return new SessionConfigError(
    `The session table does not give back what is put in: ${what} came back differently. ` +
      'Look for column types or collations that differ from the migration, for triggers on the table, and for settings of the connection such as its character set.',
  );
}
