import { describe, expect, it } from '@jest/globals';
import { Session as SessionEntity } from '../storage/entities/postgres-session.entity.js';
import { resolveStoreOptions, type ExpressSessionStoreOptions } from './express-session.options.js';

const HOUR = 3_600_000;

describe('resolveStoreOptions', () => {
  it('has defaults', () => {
    expect(resolveStoreOptions()).toMatchObject({
      entity: SessionEntity,
      lifetime: { idleTimeout: 24 * HOUR, absoluteTimeout: 400 * 24 * HOUR },
      touchAfter: undefined,
      deadline: 2_000,
      maxBytes: 65_536,
      cleanup: { interval: 600_000, batchSize: 1_000 },
    });
  });

  it.each<[object, string]>([
    [{ ttl: 60 }, 'maxAge of its cookie'],
    [{ pruneSessionInterval: 60 }, 'cleanup: { interval }'],
    [{ tableName: 'x' }, 'entity of your own'],
    [{ idleTimout: '1h' }, 'Did you mean "idleTimeout"?'],
    [{ idleTimeout: '1 hour' }, 'idleTimeout is "1 hour"'],
    [{ idleTimeout: '2d', absoluteTimeout: '1d' }, 'must not be longer than absoluteTimeout'],
    [{ entity: 5 }, 'entity is 5'],
    [{ deadline: 1 }, 'deadline is 1'],
    [{ onEvent: 'log' }, 'Give a function'],
    [{ secrets: ['x'] }, 'has no option "secrets"'],
  ])('refuses %j with a sentence', (options, sentence) => {
    expect(() => resolveStoreOptions(options as ExpressSessionStoreOptions)).toThrow(sentence);
  });

  it('lets no listener fail what it is told of', () => {
    const { emit } = resolveStoreOptions({
      onEvent: () => {
        throw new Error('mine');
      },
    });
    expect(() => emit({ type: 'cleanup', deleted: 1, milliseconds: 1 })).not.toThrow();
  });
});
