import { StatementError } from './connection.js';

/** Milliseconds after which a statement that has no answer holds up no others: its connection may have died in silence. */
const PATIENCE = 250;

/** What calls that share statements have in common. */
export interface Batching<M, R> {
  /** Statements that may be under way at once; calls that come meanwhile travel with the next. */
  readonly atOnce: number;
  /** Milliseconds that a statement is under way before another goes beside it. */
  readonly headStart: number;
  /** Whether doing it twice does no harm: what was lost is then sent again, by itself. */
  readonly mayRepeat: boolean;
  /**
   * Whether a call that finds no company is left to its caller: its statement may wait for a lock, and those that come
   * after it must not wait with it.
   */
  readonly leavesLone: boolean;
  /** Which part of a batch a call fills: 1 is all of it. */
  shareOf(member: M): number;
  /** Calls in a batch at most, where so many wait or are under way. Default: as many as fill it. */
  mostOf?(calls: number): number;
  /** What no two calls of a batch, nor of batches under way together, may have in common. Default: nothing. */
  keyOf?(member: M): string;
  /**
   * Sends one statement. Answers in the order of the calls; `undefined` where the statement says nothing of one.
   *
   * @throws StatementError
   */
  send(members: readonly M[], deadline: number): Promise<readonly (R | undefined)[]>;
}

interface Waiting<M, R> {
  readonly member: M;
  readonly deadline: number;
  resolve(answer: R | undefined): void;
  reject(error: unknown): void;
}

/**
 * Lets calls of one turn of the event loop share a statement. Nobody waits for company: what is there at the end of the
 * turn is sent, unless as many statements as may be are under way. A batch that has been sent takes nobody in: its
 * snapshot may be older than a write that the newcomer has seen acknowledged.
 */
export class BatchQueue<M, R> {
  readonly #batching: Batching<M, R>;
  readonly #keysUnderWay = new Set<string>();
  #waiting: Waiting<M, R>[] = [];
  #underWay = 0;
  #callsUnderWay = 0;
  /** When the statement that was sent last has had its head start, on the monotonic clock. */
  #nextAt = 0;
  #isScheduled = false;
  #wakesUp = false;

  constructor(batching: Batching<M, R>) {
    this.#batching = batching;
  }

  /**
   * @param deadline of the call, on the monotonic clock. A batch has that of its earliest member.
   * @returns `undefined` where nothing was decided: the caller then sends a statement of its own.
   * @throws StatementError
   */
  add(member: M, deadline: number): Promise<R | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ member, deadline, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || this.#isFull) return;
    if (this.#isAhead) return this.#wakeUp();
    this.#isScheduled = true;
    // A microtask would end before the next socket is read: requests that arrived together would not meet.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#sendWaiting();
    });
  }

  /** The head start has passed by then. */
  #wakeUp(): void {
    if (this.#wakesUp) return;
    this.#wakesUp = true;
    setTimeout(() => {
      this.#wakesUp = false;
      this.#schedule();
    }, this.#batching.headStart);
  }

  get #isFull(): boolean {
    return this.#underWay >= this.#batching.atOnce;
  }

  /** The statement that was sent last still has its head start. */
  get #isAhead(): boolean {
    return this.#underWay > 0 && performance.now() < this.#nextAt;
  }

  #sendWaiting(): void {
    while (!this.#isFull && !this.#isAhead) {
      const batch = this.#take();
      if (batch.length === 0) return;
      if (batch.length === 1 && this.#batching.leavesLone) batch[0]!.resolve(undefined);
      else void this.#send(batch);
    }
    this.#schedule();
  }

  /** Takes as many as fit from the front; who may not travel with them keeps its place. */
  #take(): Waiting<M, R>[] {
    const { shareOf, mostOf, keyOf } = this.#batching;
    const most = mostOf?.(this.#waiting.length + this.#callsUnderWay) ?? Infinity;
    const keys = new Set(this.#keysUnderWay);
    const batch: Waiting<M, R>[] = [];
    const left: Waiting<M, R>[] = [];
    let filled = 0;
    for (const waiting of this.#waiting) {
      const share = shareOf(waiting.member);
      const key = keyOf?.(waiting.member);
      const fits = batch.length === 0 || (batch.length < most && filled + share <= 1);
      if (!fits || (key !== undefined && keys.has(key))) {
        left.push(waiting);
        continue;
      }
      if (key !== undefined) keys.add(key);
      filled += share;
      batch.push(waiting);
    }
    this.#waiting = left;
    return batch;
  }

  async #send(batch: readonly Waiting<M, R>[]): Promise<void> {
    const { send, keyOf } = this.#batching;
    const members = batch.map(({ member }) => member);
    const keys = keyOf ? members.map(keyOf) : [];
    for (const key of keys) this.#keysUnderWay.add(key);
    this.#underWay++;
    this.#callsUnderWay += batch.length;
    this.#nextAt = performance.now() + this.#batching.headStart;
    let leave = () => {
      leave = () => {};
      this.#underWay--;
      this.#callsUnderWay -= batch.length;
      this.#schedule();
    };
    const patience = setTimeout(() => leave(), PATIENCE);
    try {
      const answers = await send(members, Math.min(...batch.map(({ deadline }) => deadline)));
      for (const [index, { resolve }] of batch.entries()) resolve(answers[index]);
    } catch (error) {
      for (const waiting of batch) this.#fail(waiting, error);
    } finally {
      clearTimeout(patience);
      for (const key of keys) this.#keysUnderWay.delete(key);
      leave();
      this.#schedule();
    }
  }

  #fail({ deadline, resolve, reject }: Waiting<M, R>, error: unknown): void {
    if (performance.now() < deadline && this.#maySucceedAlone(error)) resolve(undefined);
    else reject(error);
  }

  /** Whether a call may be sent by itself that failed in company: no other than a read may happen twice. */
  #maySucceedAlone(error: unknown): boolean {
    if (!(error instanceof StatementError)) return false;
    const { failure, reason } = error;
    switch (failure) {
      // The fault of a neighbour's row, or of a neighbour's conflict.
      case 'refused':
      case 'rolledBack':
        return true;
      case 'lost':
        return this.#batching.mayRepeat;
      // The deadline was a neighbour's; a database that is away is so for all.
      case 'unsent':
      case 'away':
        return reason === 'deadline';
    }
  }
}
