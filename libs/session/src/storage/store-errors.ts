import { SessionStoreError, type StoreFailure } from '../core/errors.js';
import { StatementError, type StatementFailure } from './connection.js';

const FAILURES: Record<StatementFailure, StoreFailure> = {
  unsent: 'unavailable',
  away: 'unavailable',
  lost: 'unknown',
  rolledBack: 'conflict',
  refused: 'refused',
};

/** What a store throws for a statement that failed. */
export function storeError(error: unknown): unknown {
  if (!(error instanceof StatementError)) return error;
  return new SessionStoreError(FAILURES[error.failure], error.reason);
}

/** A read that failed changed nothing, whatever became of it. */
export function readError(error: unknown): unknown {
  if (error instanceof StatementError && error.failure === 'lost') {
    return new SessionStoreError('unavailable', error.reason);
  }
  return storeError(error);
}
