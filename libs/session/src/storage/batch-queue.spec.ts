import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { BatchQueue, type Batching } from './batch-queue.js';
import { StatementError } from './connection.js';

interface Sent {
  readonly members: readonly string[];
  readonly deadline: number;
  answer(): void;
  fail(error: unknown): void;
}

/** A queue whose statements the test answers itself: each call is answered by its own name. */
function openQueue(more: Partial<Batching<string, string>> = {}) {
  const sent: Sent[] = [];
  const queue = new BatchQueue<string, string>({
    atOnce: 1,
    headStart: 0,
    mayRepeat: false,
    leavesLone: false,
    shareOf: () => 1 / 4,
    send: (members, deadline) =>
      new Promise((resolve, reject) => {
        sent.push({ members, deadline, answer: () => resolve(members), fail: reject });
      }),
    ...more,
  });
  return { queue, sent };
}

// The turns of the event loop are real, and time passes where a test says so.
beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate'] }));
afterEach(() => void jest.useRealTimers());

const LATER = Infinity;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('[batch] a queue of calls', () => {
  it('sends those of one turn together, also from callbacks of their own', async () => {
    const { queue, sent } = openQueue();
    const answers = [queue.add('a', LATER), Promise.resolve().then(() => queue.add('b', LATER))];
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a', 'b']]);
    sent[0]!.answer();
    expect(await Promise.all(answers)).toEqual(['a', 'b']);
  });

  it('takes nobody into a batch that was sent, and sends no more than as many as may be', async () => {
    const { queue, sent } = openQueue({ atOnce: 2 });
    const answers = ['a', 'b', 'c', 'd'].map(async (member) => {
      if (member > 'a') await turn();
      if (member > 'b') await turn();
      return queue.add(member, LATER);
    });
    for (let turns = 0; turns < 5; turns++) await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a'], ['b']]);
    sent[1]!.answer();
    await turn();
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a'], ['b'], ['c', 'd']]);
    sent[0]!.answer();
    sent[2]!.answer();
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('fills a batch and no more, and lets in what is larger than one', async () => {
    const { queue, sent } = openQueue({ shareOf: (member) => (member === 'huge' ? 2 : 1 / 4), atOnce: 9 });
    for (const member of ['a', 'b', 'huge', 'c', 'd', 'e']) void queue.add(member, LATER);
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a', 'b', 'c', 'd'], ['huge'], ['e']]);
  });

  it('[halves] takes no more than it may of so many that wait or are under way', async () => {
    const asked: number[] = [];
    const mostOf = (calls: number) => {
      asked.push(calls);
      return 2;
    };
    const { queue, sent } = openQueue({ atOnce: 2, mostOf });
    for (const member of ['a', 'b', 'c', 'd', 'e']) void queue.add(member, LATER);
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    sent[0]!.answer();
    await turn();
    await turn();
    expect(sent[2]!.members).toEqual(['e']);
    expect(asked).toEqual([5, 5, 3]);
  });

  it('[head start] lets none go beside a statement before it has had its head start, and then does', async () => {
    const { queue, sent } = openQueue({ atOnce: 2, headStart: 40 });
    void queue.add('a', LATER);
    await turn();
    void queue.add('b', LATER);
    await turn();
    void queue.add('c', LATER);
    jest.advanceTimersByTime(39);
    await turn();
    expect(sent).toHaveLength(1);
    jest.advanceTimersByTime(1);
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a'], ['b', 'c']]);
  });

  it('[head start] keeps what did not fit no longer than that, though nobody else comes', async () => {
    const { queue, sent } = openQueue({ atOnce: 2, headStart: 10 });
    for (const member of ['a', 'b', 'c', 'd', 'e']) void queue.add(member, LATER);
    await turn();
    jest.advanceTimersByTime(9);
    await turn();
    expect(sent).toHaveLength(1);
    jest.advanceTimersByTime(1);
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a', 'b', 'c', 'd'], ['e']]);
  });

  it('[head start] waits for nothing where none is under way', async () => {
    const { queue, sent } = openQueue({ atOnce: 2, headStart: 60_000 });
    void queue.add('a', LATER);
    await turn();
    void queue.add('b', LATER);
    sent[0]!.answer();
    await turn();
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a'], ['b']]);
  });

  it('keeps apart what has the same key, also while one is under way', async () => {
    const { queue, sent } = openQueue({ keyOf: (member) => member[0]!, atOnce: 2 });
    for (const member of ['a1', 'a2', 'b1']) void queue.add(member, LATER);
    await turn();
    void queue.add('c1', LATER);
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a1', 'b1'], ['c1']]);
    sent[0]!.answer();
    await turn();
    await turn();
    expect(sent[2]!.members).toEqual(['a2']);
  });

  it('leaves a call without company to its caller, where its statement may wait for a lock', async () => {
    const { queue, sent } = openQueue({ leavesLone: true });
    expect(await queue.add('a', LATER)).toBeUndefined();
    expect(sent).toEqual([]);
  });

  it('has the deadline of the earliest call', async () => {
    const { queue, sent } = openQueue();
    for (const deadline of [300, 100, 200]) void queue.add('a', deadline);
    await turn();
    expect(sent[0]!.deadline).toBe(100);
  });

  describe('when a statement fails', () => {
    /** What becomes of a call whose time is over and of one that has time left. */
    const outcomesOf = async (error: unknown, mayRepeat = false) => {
      const { queue, sent } = openQueue({ mayRepeat });
      const calls = [queue.add('over', performance.now()), queue.add('in time', LATER)];
      await turn();
      sent[0]!.fail(error);
      const outcomes = await Promise.allSettled(calls);
      return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'alone' : 'failed'));
    };

    it.each([
      ['refused', '22P05'],
      ['rolledBack', '40001'],
      ['unsent', 'deadline'],
      ['away', 'deadline'],
    ] as const)('%s (%s): who has time left asks alone', async (failure, reason) => {
      expect(await outcomesOf(new StatementError(failure, reason))).toEqual(['failed', 'alone']);
    });

    it.each([
      ['lost', 'deadline'],
      ['lost', '57P01'],
      ['unsent', 'ECONNREFUSED'],
      ['away', '53300'],
    ] as const)('%s (%s): nobody asks again', async (failure, reason) => {
      expect(await outcomesOf(new StatementError(failure, reason))).toEqual(['failed', 'failed']);
    });

    it('a read whose answer was lost may be asked for again', async () => {
      expect(await outcomesOf(new StatementError('lost', '57P01'), true)).toEqual(['failed', 'alone']);
      expect(await outcomesOf(new TypeError('ours'), true)).toEqual(['failed', 'failed']);
    });
  });
});

describe('[batch] a statement without an answer', () => {
  it('holds up the others for a moment only', async () => {
    const { queue, sent } = openQueue({ keyOf: (member) => member });
    const hanging = queue.add('a', LATER);
    await turn();
    const next = [queue.add('b', LATER), queue.add('a', LATER)];
    await turn();
    expect(sent.map(({ members }) => members)).toEqual([['a']]);
    jest.advanceTimersByTime(250);
    await turn();
    // But never what may not be under way twice.
    expect(sent.map(({ members }) => members)).toEqual([['a'], ['b']]);
    for (const { answer } of sent) answer();
    await turn();
    await turn();
    sent[2]!.answer();
    expect(await Promise.all([hanging, ...next])).toEqual(['a', 'b', 'a']);
  });
});
