import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from './client.js';
import { outcomeOf, type Nodes } from './lab.js';

/** What a {@link Counter} was answered. */
export interface Counts {
  acknowledged: number;
  /** It may have happened: 503 SESSION_OUTCOME_UNKNOWN. */
  unknown: number;
  /** The other 503: it has not happened. */
  refused: number;
  /** What nobody should get. */
  readonly others: [status: number, code: string | undefined][];
}

/** A visitor who increments one key again and again, until told to stop, whatever happens to the database. */
export class Counter {
  readonly counts: Counts = { acknowledged: 0, unknown: 0, refused: 0, others: [] };
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(lab: Nodes, visitor: Client, node: number) {
    const client = lab.at(visitor, node);
    this.#done = this.#run(async () => outcomeOf(await lab.act(client, (session) => session.increment('n'))));
  }

  async stop(): Promise<Counts> {
    this.#isOver = true;
    await this.#done;
    return this.counts;
  }

  async #run(count: () => Promise<[number, string | undefined]>): Promise<void> {
    while (!this.#isOver) {
      const [status, code] = await count();
      if (status === 200) this.counts.acknowledged += 1;
      else if (code === 'SESSION_OUTCOME_UNKNOWN') this.counts.unknown += 1;
      else if (status === 503) this.counts.refused += 1;
      else this.counts.others.push([status, code]);
      if (status !== 200) await delay(20);
    }
  }
}

/** Waits until each of them has counted again, so many times. */
export async function untilTheyCount(counters: readonly Counter[], times = 1): Promise<void> {
  const before = counters.map(({ counts }) => counts.acknowledged);
  while (!counters.every(({ counts }, index) => counts.acknowledged >= before[index]! + times)) await delay(20);
}

/** Stops them. The value that they have counted to lies between these two, or something was lost or done twice. */
export async function stopAll(counters: readonly Counter[]) {
  const counts = await Promise.all(counters.map((counter) => counter.stop()));
  const sum = (of: 'acknowledged' | 'unknown') => counts.reduce((total, each) => total + each[of], 0);
  const least = sum('acknowledged');
  return { least, most: least + sum('unknown'), others: counts.flatMap(({ others }) => others) };
}
