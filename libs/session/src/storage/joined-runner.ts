import { StatementError, type Connection, type Operation, type Runner } from './connection.js';

/**
 * Operations on the connection of the application's transaction. Nothing is tried again there: a statement that the
 * database undid has undone the transaction, and its beginning is the application's to repeat.
 */
export class JoinedRunner implements Runner {
  readonly #connection: Promise<Connection>;

  constructor(connection: Promise<Connection>) {
    this.#connection = connection;
  }

  readonly mayRepeat = false;

  async run<R>(operation: Operation<R>, milliseconds: number): Promise<R> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      // The connection is the application's, so it is not closed. It is in a transaction: nothing has been committed.
      timer = setTimeout(() => reject(new StatementError('away', 'deadline')), milliseconds);
    });
    try {
      return await Promise.race([operation(await this.#connection), deadline]);
    } finally {
      clearTimeout(timer);
    }
  }
}
