/** Milliseconds for one test where the runner takes a limit (Jest, Vitest): generous, as none of them is about speed. */
const TIMEOUT = 60_000;

/** The functions of a test runner that the suite calls: those of Jest, Vitest, Mocha and `node:test` fit. */
export interface TestRunner {
  describe(title: string, body: () => void): unknown;
  it(title: string, body: () => Promise<void>): unknown;
  beforeAll(body: () => Promise<void>): unknown;
  afterAll(body: () => Promise<void>): unknown;
}

/** The runner whose functions are global, as in Jest, in Vitest with `globals: true`, and in Mocha. */
export function globalRunner(): TestRunner {
  const globals = globalThis as Record<string, unknown>;
  const named = (...names: string[]) => {
    for (const name of names) {
      const found = globals[name];
      if (typeof found === 'function') return found as (...args: unknown[]) => unknown;
    }
    throw new Error(
      `describeSessionStore() finds no global ${names.join('() or ')}(). Call it in a test file of Jest, Mocha or Vitest (with globals: true), ` +
        'or hand it the functions of the runner: { runner: { describe, it, beforeAll, afterAll } }.',
    );
  };
  const it = named('it');
  return {
    describe: named('describe'),
    it: (title, body) => it(title, body, TIMEOUT),
    beforeAll: named('beforeAll', 'before'),
    afterAll: named('afterAll', 'after'),
  };
}
