import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { NodePostgresPool } from './node-postgres.js';

const driver = new NodePostgresPool({ driver: { master: new pg.Pool() } } as unknown as DataSource);

/** As the server says it. */
const server = (code: string, severity = 'ERROR') => Object.assign(new Error('of the server'), { code, severity });
/** As node-postgres says it, with nothing but a sentence. */
const sentence = (message: string) => new Error(message);
/** As Node says it. */
const system = (code: string, syscall: string) => Object.assign(new Error(`${syscall} ${code}`), { code, syscall });

describe('[classes] a failure on PostgreSQL', () => {
  it.each([
    // The connection broke while the statement was under way, or before anybody noticed.
    ['lost', 'given up', sentence('Connection terminated unexpectedly')],
    ['lost', 'given up', sentence('Connection terminated')],
    ['lost', 'given up', sentence('Query read timeout')],
    ['lost', 'given up', system('ECONNRESET', 'read')],
    ['lost', 'given up', system('EPIPE', 'write')],
    ['lost', 'given up', system('ETIMEDOUT', 'read')],
    ['lost', 'given up', system('EHOSTUNREACH', 'read')],
    ['lost', 'given up', server('57P01', 'FATAL')],
    ['lost', 'given up', server('57P02', 'FATAL')],
    ['lost', 'given up', server('57P05', 'FATAL')],
    // In a language of the server's.
    ['lost', 'given up', server('57P01', 'FATALE')],
    // What PgBouncer says when its server went away.
    ['lost', 'given up', server('08P01', 'FATAL')],
    ['lost', 'given up', server('08006', 'FATAL')],
    ['lost', 'given up', server('08007')],
    ['lost', 'kept', server('40003')],
    // It was never sent, or the server refused the connection.
    ['unsent', 'given up', sentence('Client has encountered a connection error and is not queryable')],
    ['unsent', 'given up', sentence('Client was closed and is not queryable')],
    ['unsent', 'given up', system('ECONNREFUSED', 'connect')],
    ['unsent', 'given up', system('ETIMEDOUT', 'connect')],
    ['unsent', 'given up', system('EHOSTUNREACH', 'connect')],
    ['unsent', 'given up', server('57P03', 'FATAL')],
    ['unsent', 'given up', server('53300', 'FATAL')],
    ['unsent', 'given up', server('08001')],
    ['unsent', 'given up', server('08004', 'FATAL')],
    // The server did nothing, and the connection is of no use.
    ['away', 'given up', server('25006')],
    ['away', 'given up', server('25P02')],
    ['away', 'given up', server('25P03', 'FATAL')],
    ['away', 'given up', server('57P04', 'FATAL')],
    // The server did nothing, and would on another day.
    ['away', 'kept', server('53100')],
    ['away', 'kept', server('53200')],
    ['away', 'kept', server('57014')],
    ['away', 'kept', server('58030')],
    ['rolledBack', 'kept', server('40001')],
    ['rolledBack', 'kept', server('40P01')],
    ['rolledBack', 'kept', server('55P03')],
    // Ours, or the set-up's.
    ['refused', 'kept', server('23505')],
    ['refused', 'kept', server('22P05')],
    ['refused', 'kept', server('42P01')],
    ['refused', 'kept', server('42501')],
    ['refused', 'kept', server('XX000')],
  ])('is %s, its connection %s: %s', (failure, fate, error) => {
    const found = driver.describe(error);
    expect([found.failure, found.isConnectionUseless ? 'given up' : 'kept']).toEqual([failure, fate]);
  });

  it('is named by its code alone, as sentences may quote values', () => {
    expect(driver.describe(sentence('Query read timeout')).reason).toBe('connection');
    expect(driver.describe(system('EPIPE', 'write')).reason).toBe('EPIPE');
    expect(driver.describe(server('25006')).reason).toBe('25006');
  });
});
