import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { BreakingRunner } from './breaking-runner.js';
import { StatementError, type Connection, type Operation, type Runner } from './connection.js';

/** A database that is as the test says, and counts who asks. */
class Database implements Runner {
  readonly mayRepeat = true;
  asked = 0;
  answer: () => Promise<void> = async () => {};

  async run<R>(operation: Operation<R>): Promise<R> {
    this.asked += 1;
    await this.answer();
    return operation({ run: async () => ({ rows: [], affected: 0, insertId: 0 }) } as unknown as Connection);
  }
}

const DEADLINE = 5_000;
const refuses = async () => {
  throw new StatementError('unsent', 'ECONNREFUSED');
};
const failure = (error: unknown) => (error instanceof StatementError ? error.reason : String(error));
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Time passes where a test says so. */
const pass = (milliseconds: number) => jest.advanceTimersByTime(milliseconds);
beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate'] }));
afterEach(() => void jest.useRealTimers());

function open() {
  const database = new Database();
  const runner = new BreakingRunner(database);
  const ask = () => runner.run(async () => 'answer', DEADLINE).then((answer) => answer, failure);
  const askMany = async (count: number) => {
    const answers = [];
    for (let n = 0; n < count; n++) answers.push(await ask());
    return answers;
  };
  return { database, ask, askMany };
}

describe('[breaker] a database that answers nobody', () => {
  it('is asked five times, and then no more', async () => {
    const { database, askMany } = open();
    database.answer = refuses;
    expect(await askMany(8)).toEqual([...Array(5).fill('ECONNREFUSED'), ...Array(3).fill('breaker')]);
    expect(database.asked).toBe(5);
  });

  it('is left alone again after each question', async () => {
    const { database, askMany } = open();
    database.answer = refuses;
    await askMany(5);
    pass(300);
    await askMany(4);
    // The five, and one question.
    expect(database.asked).toBe(6);
  });

  it('is asked by one alone whether it is back, and by all when it is', async () => {
    const { database, ask, askMany } = open();
    database.answer = refuses;
    await askMany(5);
    pass(1_100);
    let answer = () => {};
    database.answer = () => new Promise<void>((resolve) => (answer = resolve));
    const first = ask();
    await turn();
    expect(await Promise.all([ask(), ask()])).toEqual(['breaker', 'breaker']);
    database.answer = async () => {};
    answer();
    expect(await first).toBe('answer');
    expect(await askMany(2)).toEqual(['answer', 'answer']);
    // Five refused, one question, and three that were answered.
    expect(database.asked).toBe(9);
  });

  it('is asked again on another connection, where the first question hangs', async () => {
    const { database, ask, askMany } = open();
    database.answer = refuses;
    await askMany(5);
    pass(1_100);
    database.answer = () => new Promise(() => {});
    const first = ask();
    await turn();
    database.answer = async () => {};
    expect(await first).toBe('answer');
  });

  it('pauses for a second at most', async () => {
    const { database, ask, askMany } = open();
    database.answer = refuses;
    await askMany(5);
    for (const end = performance.now() + 3_000; performance.now() < end; pass(20)) await ask();
    database.answer = async () => {};
    const since = performance.now();
    while ((await ask()) !== 'answer') pass(20);
    expect(performance.now() - since).toBeLessThanOrEqual(1_000);
  });
});

describe('[breaker] a clock that is set back by an hour', () => {
  it('keeps nobody from asking', async () => {
    const { database, ask, askMany } = open();
    database.answer = refuses;
    await askMany(6);
    jest.setSystemTime(Date.now() - 3_600_000);
    database.answer = async () => {};
    pass(1_100);
    expect(await ask()).toBe('answer');
  });
});

describe('[breaker] what says nothing against the database', () => {
  it.each([
    ['a conflict', new StatementError('rolledBack', '40001')],
    ['a server that only reads', new StatementError('away', '25006')],
    ['a value that it refuses', new StatementError('refused', '22P05')],
    ['a pool that the application has in use', new StatementError('unsent', 'deadline', true)],
    ['a mistake of ours', new TypeError('ours')],
  ])('%s', async (_, error) => {
    const { database, askMany } = open();
    database.answer = () => Promise.reject(error);
    const answers = await askMany(20);
    expect(answers).not.toContain('breaker');
    expect(database.asked).toBe(20);
  });

  it('an answer between two failures', async () => {
    const { database, askMany } = open();
    for (let round = 0; round < 3; round++) {
      database.answer = refuses;
      await askMany(4);
      database.answer = async () => {};
      expect(await askMany(1)).toEqual(['answer']);
    }
  });

  it('one that hangs while others are answered', async () => {
    const { database, ask, askMany } = open();
    const hanging: (() => void)[] = [];
    database.answer = () =>
      new Promise((_, reject) => hanging.push(() => reject(new StatementError('lost', 'deadline'))));
    const asked = Array.from({ length: 20 }, ask);
    database.answer = async () => {};
    await turn();
    pass(2);
    await askMany(1);
    for (const end of hanging) end();
    expect(await Promise.all(asked)).toEqual(Array(20).fill('deadline'));
    expect(await askMany(1)).toEqual(['answer']);
  });
});
