import type { DataSource, EntitySubscriberInterface, QueryRunner } from 'typeorm';
import { SessionJoinError } from '../core/errors.js';
import type { TransactionEnd } from '../core/store.js';

/**
 * The query runner of an entity manager that is in a transaction.
 *
 * @throws SessionJoinError where there is no such transaction in this data source.
 */
export function transactionOf(manager: object, dataSource: DataSource): QueryRunner {
  const { queryRunner } = manager as { queryRunner?: QueryRunner };
  if (!queryRunner?.isTransactionActive) {
    throw new SessionJoinError(
      'save({ manager }) needs the manager of a transaction that has begun: the one that dataSource.transaction() hands to its callback',
    );
  }
  if (queryRunner.connection !== dataSource) {
    throw new SessionJoinError('the manager belongs to another data source than the sessions');
  }
  return queryRunner;
}

interface Watch {
  /** The transaction or savepoint whose end decides. */
  depth: number;
  isCommitting: boolean;
  readonly settle: (end: TransactionEnd) => void;
}

/** Tells when transactions of the application end. */
export class TransactionEnds implements EntitySubscriberInterface {
  readonly #dataSource: DataSource;
  readonly #watches = new WeakMap<object, Set<Watch>>();

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource;
  }

  /** Settles when the transaction that the query runner is in now has ended. */
  of(queryRunner: QueryRunner): Promise<TransactionEnd> {
    // Not before it is needed: TypeORM asks every subscriber about every entity.
    if (!this.#dataSource.subscribers.includes(this)) this.#dataSource.subscribers.push(this);
    const watches = this.#watches.get(queryRunner) ?? new Set();
    this.#watches.set(queryRunner, watches);
    return new Promise((resolve) => {
      const watch: Watch = {
        depth: depthOf(queryRunner),
        isCommitting: false,
        settle: (end) => {
          watches.delete(watch);
          resolve(end);
        },
      };
      watches.add(watch);
    });
  }

  beforeTransactionCommit({ queryRunner }: { queryRunner: object }): void {
    for (const watch of this.#of(queryRunner)) watch.isCommitting = depthOf(queryRunner) === 1;
  }

  afterTransactionCommit({ queryRunner }: { queryRunner: object }): void {
    const depth = depthOf(queryRunner);
    for (const watch of this.#of(queryRunner)) {
      if (depth === 0) watch.settle('committed');
      // What a savepoint held belongs to what is around it once it is released.
      else watch.depth = Math.min(watch.depth, depth);
    }
  }

  /** Before and not after: on a connection that has died, there is no after. */
  beforeTransactionRollback({ queryRunner }: { queryRunner: object }): void {
    for (const watch of this.#of(queryRunner)) {
      if (depthOf(queryRunner) > watch.depth) continue;
      // TypeORM rolls back what it could not commit, and that may have been committed all the same.
      watch.settle(watch.isCommitting ? 'unknown' : 'rolledBack');
    }
  }

  #of(queryRunner: object): readonly Watch[] {
    return [...(this.#watches.get(queryRunner) ?? [])];
  }
}

/** 1 in a transaction, one more in each savepoint inside. TypeORM keeps it to itself, and tells it nowhere else. */
function depthOf(queryRunner: object): number {
  return (queryRunner as { transactionDepth: number }).transactionDepth;
}
