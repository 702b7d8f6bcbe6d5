import { afterAll, describe, expect, it } from '@jest/globals';
import mysql from 'mysql2';
import type { DataSource } from 'typeorm';
import { Mysql2Pool } from './mysql2.js';

const pool = mysql.createPool({ host: '127.0.0.1' });
const driver = new Mysql2Pool({ driver: { pool } } as unknown as DataSource);
afterAll(() => pool.end());

/** As the server says it. */
const server = (errno: number, sqlState: string, message = 'of the server') =>
  Object.assign(new Error(message), { errno, sqlState, code: 'ER_SOMETHING' });
/** As mysql2 says it. */
const client = (code: string, message = 'of the client') => Object.assign(new Error(message), { code, fatal: true });
/** As Node says it: a negative number, and no SQLSTATE. */
const system = (code: string, syscall: string) => Object.assign(new Error(code), { code, syscall, errno: -104 });

describe('[classes] a failure on MariaDB and MySQL', () => {
  it.each([
    // The connection broke while the statement was under way, or before anybody noticed.
    ['lost', 'given up', client('PROTOCOL_CONNECTION_LOST', 'Connection lost: The server closed the connection.')],
    ['lost', 'given up', client('PROTOCOL_SEQUENCE_TIMEOUT', 'Query inactivity timeout')],
    ['lost', 'given up', client('PROTOCOL_UNEXPECTED_PACKET')],
    ['lost', 'given up', system('ECONNRESET', 'read')],
    ['lost', 'given up', system('EPIPE', 'write')],
    ['lost', 'given up', system('ETIMEDOUT', 'read')],
    ['lost', 'given up', server(1053, '08S01', 'Server shutdown in progress')],
    ['lost', 'given up', server(1927, '70100', 'Connection was killed')],
    ['lost', 'given up', server(3169, 'HY000', 'The session was killed')],
    // As proxies say it.
    ['lost', 'given up', server(2006, 'HY000', 'MySQL server has gone away')],
    ['lost', 'given up', server(2013, 'HY000', 'Lost connection to server during query')],
    ['lost', 'kept', server(1180, 'HY000', 'Got error 6 "No such device or address" during COMMIT')],
    ['lost', 'kept', server(1105, 'HY000', 'WSREP replication failed. Check your wsrep connection state')],
    // It was never sent, or the server refused the connection.
    ['unsent', 'given up', sentence("Can't add new command when connection is in closed state")],
    ['unsent', 'given up', client('PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR')],
    ['unsent', 'given up', client('PROTOCOL_ENQUEUE_AFTER_QUIT')],
    ['unsent', 'given up', client('POOL_NOEXIST', 'Pool does not exist.')],
    ['unsent', 'given up', client('POOL_NONEONLINE', 'No online node available in the pool')],
    ['unsent', 'given up', client('POOL_CLOSED', 'Pool is closed.')],
    ['unsent', 'given up', system('ECONNREFUSED', 'connect')],
    ['unsent', 'given up', system('ETIMEDOUT', 'connect')],
    // The server did nothing, and the connection is of no use.
    ['away', 'given up', server(1047, '08S01', 'WSREP has not yet prepared node for application use')],
    ['away', 'given up', server(1290, 'HY000', 'The MariaDB server is running with the --read-only option')],
    ['away', 'given up', server(1836, 'HY000', 'Running in read-only mode')],
    ['away', 'given up', server(1792, '25006', 'Cannot execute statement in a READ ONLY transaction')],
    // The server did nothing, and would on another day.
    ['away', 'kept', server(1021, 'HY000', 'Disk full')],
    ['away', 'kept', server(1114, 'HY000', 'The table is full')],
    ['away', 'kept', server(1317, '70100', 'Query execution was interrupted')],
    ['away', 'kept', server(1969, '70100', 'max_statement_time exceeded')],
    ['rolledBack', 'kept', server(1205, 'HY000', 'Lock wait timeout exceeded')],
    ['rolledBack', 'kept', server(1213, '40001', 'Deadlock found when trying to get lock')],
    ['rolledBack', 'kept', server(1213, '40001', 'WSREP detected deadlock/conflict and aborted the transaction')],
    ['rolledBack', 'kept', server(1020, 'HY000', 'Record has changed since last read')],
    // Ours, or the set-up's.
    ['refused', 'given up', server(1153, '08S01', 'Got a packet bigger than max_allowed_packet')],
    ['refused', 'kept', server(1062, '23000', 'Duplicate entry')],
    ['refused', 'kept', server(4025, '23000', 'CONSTRAINT failed')],
    ['refused', 'kept', server(1146, '42S02', "Table doesn't exist")],
  ])('is %s, its connection %s: %s', (failure, fate, error) => {
    const found = driver.describe(error);
    expect([found.failure, found.isConnectionUseless ? 'given up' : 'kept']).toEqual([failure, fate]);
  });
});

/** With nothing but a sentence. */
function sentence(message: string): Error {
  return new Error(message);
}
