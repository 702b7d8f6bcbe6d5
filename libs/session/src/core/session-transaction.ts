import type { TransactionManager } from './session.js';
import type { JoinedStore, SessionStore } from './store.js';

/** What a session has written inside a transaction of the application. */
export class SessionTransaction {
  readonly manager: TransactionManager;
  readonly store: SessionStore;
  /** Settles when the transaction has ended and what it did not keep is undone here too. */
  readonly ended: Promise<void>;
  readonly #undo: (() => void)[] = [];
  #isAbandoned = false;

  constructor(manager: TransactionManager, { store, ended }: JoinedStore) {
    this.manager = manager;
    this.store = store;
    this.ended = ended.then((end) => {
      // Where nobody knows, the next request will see. This one answers an error in any case.
      if (end !== 'committed') for (const undo of this.#undo.reverse()) undo();
    });
  }

  /** Undoes in memory what the transaction did not keep; the last first. */
  onUndo(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** The end of the transaction, waited for once and no longer than this; `undefined` after that. */
  waitForEnd(milliseconds: number): Promise<void> | undefined {
    if (this.#isAbandoned) return undefined;
    let timer: NodeJS.Timeout;
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#isAbandoned = true;
        resolve();
      }, milliseconds);
    });
    return Promise.race([this.ended, tooLong]).finally(() => clearTimeout(timer));
  }
}
