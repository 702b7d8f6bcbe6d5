/** What a driver sends instead of a statement: a call of the function that the database has for it. */
export class StatementCalls {
  readonly #calls = new Map<string, string>();
  readonly #warn: (sentence: string) => void;

  /** @param warn is told where a function cannot be called any more. */
  constructor(warn: (sentence: string) => void) {
    this.#warn = warn;
  }

  /** @param functions that the database has. */
  learn(functions: readonly { readonly sql: string; readonly call: string }[]): void {
    for (const { sql, call } of functions) this.#calls.set(sql, call);
  }

  /** Nothing where the statement goes as it is. */
  of(sql: string): string | undefined {
    return this.#calls.get(sql);
  }

  /**
   * All of them, where one cannot be called: they come and go together, and each that is tried fails the transaction that the
   * application may have open.
   *
   * @param reason SQLSTATE
   */
  forget(reason: string): void {
    if (this.#calls.size === 0) return;
    this.#calls.clear();
    this.#warn(
      `A function for session statements cannot be called any more (${reason}), so all statements go as they are until the ` +
        'application starts again. Run the migration CreateSessionFunctions of this version, and grant EXECUTE on what it makes.',
    );
  }
}
