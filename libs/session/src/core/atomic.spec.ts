import { describe, expect, it } from '@jest/globals';
import { applyAtomic, MAX_COUNTER } from './atomic.js';
import type { AtomicOperation } from './store.js';

const UNFIT = { fits: false };
const fits = (value: string | undefined) => ({ fits: true, value });

describe('applyAtomic', () => {
  const cases: [operation: AtomicOperation, current: string | undefined, result: object][] = [
    [{ kind: 'increment', key: 'k', by: 2 }, undefined, fits('2')],
    [{ kind: 'increment', key: 'k', by: 2 }, '40', fits('42')],
    [{ kind: 'increment', key: 'k', by: 0.2 }, '0.1', fits('0.30000000000000004')],
    [{ kind: 'increment', key: 'k', by: -1 }, String(-MAX_COUNTER + 1), fits(String(-MAX_COUNTER))],
    [{ kind: 'increment', key: 'k', by: -1 }, String(-MAX_COUNTER), UNFIT],
    [{ kind: 'increment', key: 'k', by: 1 }, String(MAX_COUNTER), UNFIT],
    [{ kind: 'increment', key: 'k', by: 1 }, '"1"', UNFIT],
    [{ kind: 'increment', key: 'k', by: 1 }, 'null', UNFIT],
    [{ kind: 'increment', key: 'k', by: 1 }, '[1]', UNFIT],
    [{ kind: 'append', key: 'k', items: '[1,[2]]' }, undefined, fits('[1,[2]]')],
    [{ kind: 'append', key: 'k', items: '["b"]' }, '["a"]', fits('["a","b"]')],
    [{ kind: 'append', key: 'k', items: '[1]' }, '{"0":1}', UNFIT],
    [{ kind: 'append', key: 'k', items: '[1]' }, 'null', UNFIT],
    [{ kind: 'setIfAbsent', key: 'k', value: '1' }, undefined, fits('1')],
    [{ kind: 'setIfAbsent', key: 'k', value: '1' }, 'null', UNFIT],
    [{ kind: 'take', key: 'k' }, '1', fits(undefined)],
    [{ kind: 'take', key: 'k' }, undefined, fits(undefined)],
    [{ kind: 'compareAndSet', key: 'k', value: '2', version: 0 }, '1', fits('2')],
    [{ kind: 'compareAndSet', key: 'k', value: undefined, version: 0 }, '1', fits(undefined)],
  ];

  it.each(cases)('%j of %s is %j', (operation, current, result) => {
    expect(applyAtomic(operation, current)).toEqual(result);
  });
});
