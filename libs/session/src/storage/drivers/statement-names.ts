import { hash } from 'node:crypto';

/**
 * Statements on a connection at most. Sessions have some thirty, and each has a plan on every connection that it was used
 * on; what comes beyond goes without a name.
 */
const MAX_NAMES = 100;

/** A name for each text, the same on every connection and every node: a pooler may lend a connection to another. */
export class StatementNames {
  readonly #names = new Map<string, string>();

  of(sql: string): string | undefined {
    const known = this.#names.get(sql);
    if (known !== undefined || this.#names.size >= MAX_NAMES) return known;
    const name = `session_${hash('sha256', sql).slice(0, 32)}`;
    this.#names.set(sql, name);
    return name;
  }
}
