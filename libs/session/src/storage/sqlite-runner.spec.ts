import { describe, expect, it } from '@jest/globals';
import { sqliteFailure } from './sqlite-runner.js';

describe('[classes] a failure on SQLite', () => {
  it.each([
    ['rolledBack', 'SQLITE_BUSY'],
    ['rolledBack', 'SQLITE_BUSY_SNAPSHOT'],
    ['rolledBack', 'SQLITE_LOCKED'],
    ['rolledBack', 'SQLITE_PROTOCOL'],
    ['lost', 'SQLITE_IOERR'],
    ['lost', 'SQLITE_IOERR_FSYNC'],
    ['away', 'SQLITE_READONLY'],
    ['away', 'SQLITE_READONLY_DBMOVED'],
    ['away', 'SQLITE_FULL'],
    ['away', 'SQLITE_CANTOPEN'],
    ['away', 'SQLITE_NOMEM'],
    ['refused', 'SQLITE_CONSTRAINT_PRIMARYKEY'],
    ['refused', 'SQLITE_CORRUPT'],
    ['refused', 'SQLITE_ERROR'],
  ])('is %s: %s', (failure, code) => {
    expect(sqliteFailure(code, 'what may quote values')).toEqual({ failure, reason: code });
  });
});
