// What is in the table when all requests have been answered: read by SQL, on a connection of the race's own.
import { createHash } from 'node:crypto';

/** Where each implementation keeps a session, and what of a token it keeps. */
const tables = {
  library: {
    name: 'sessions',
    token: 'token_hash',
    kept: (token) => createHash('sha256').update(token).digest('hex'),
  },
  naive: { name: 'naive_sessions', token: 'id', kept: (token) => token },
};

/** @typedef {{ token: string, data: Record<string, unknown> }} Row */

export class Truth {
  /** @type {Row[]} */
  rows;
  #kept;
  #byToken = new Map();
  #byName = new Map();

  constructor(rows, kept) {
    this.rows = rows.map(({ token, data }) => ({ token: textOf(token), data: objectOf(data) }));
    this.#kept = kept;
    for (const row of this.rows) {
      this.#byToken.set(row.token, row);
      this.#byName.set(row.data.name, [...(this.#byName.get(row.data.name) ?? []), row]);
    }
  }

  static async read(database, implementation) {
    const { name, token, kept } = tables[implementation];
    return new Truth(await database.query(`SELECT ${token} AS token, data FROM ${name}`), kept);
  }

  static async forget(database, implementation) {
    await database.query(`DELETE FROM ${tables[implementation].name}`);
  }

  /** The data of the session that this cookie opens. */
  dataOf({ cookie }) {
    const token = this.#kept(cookie.slice(cookie.indexOf('=') + 1));
    return this.#byToken.get(token)?.data;
  }

  /** How many rows there are beyond one for each of these; of the abandoned, nobody knows. */
  surplus(visitors, abandoned) {
    return Math.max(0, this.rows.length - visitors.length - abandoned.length);
  }

  /** The sessions that say they are this visitor's. */
  named({ name }) {
    return this.#byName.get(name) ?? [];
  }
}

const textOf = (token) => (typeof token === 'string' ? token : Buffer.from(token).toString('hex'));
const objectOf = (data) => (typeof data === 'string' ? JSON.parse(data) : data);
