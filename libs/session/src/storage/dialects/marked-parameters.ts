import type { Statement } from '../connection.js';

/**
 * Parameters for databases whose only placeholder is `?`. They may be used more than once and be named in any order: each
 * leaves a mark, and the statement puts them where their marks are.
 */
export class MarkedParameters<V> {
  readonly #values: V[] = [];

  statement(sql: string): Statement {
    const parameters: V[] = [];
    const marked = /\0(\d+)\0/g;
    return { sql: sql.replace(marked, (_, index) => (parameters.push(this.#values[Number(index)]!), '?')), parameters };
  }

  /** No SQL of ours has U+0000 in it, and no value is in the SQL. */
  protected mark(value: V): string {
    return `\0${this.#values.push(value) - 1}\0`;
  }
}
