import { parseJson } from './parse-json.js';
import type { AtomicOperation } from './store.js';

/** What an operation makes of a value, as JSON text; `undefined` is no value. */
export type AtomicResult = { fits: true; value: string | undefined } | { fits: false };

/** Counters stay exact up to here; beyond, an increment of 1 would be lost in rounding. */
export const MAX_COUNTER = Number.MAX_SAFE_INTEGER;

/** The meaning of the atomic operations, for a value that nobody else can change: that of a session without a row. */
export function applyAtomic(operation: AtomicOperation, current: string | undefined): AtomicResult {
  const unfit = { fits: false } as const;
  switch (operation.kind) {
    case 'increment': {
      const start: unknown = current === undefined ? 0 : parseJson(current);
      if (typeof start !== 'number') return unfit;
      const sum = start + operation.by;
      return Math.abs(sum) <= MAX_COUNTER ? { fits: true, value: JSON.stringify(sum) } : unfit;
    }
    case 'append': {
      const start: unknown = current === undefined ? [] : parseJson(current);
      if (!Array.isArray(start)) return unfit;
      return { fits: true, value: JSON.stringify([...start, ...(parseJson(operation.items) as unknown[])]) };
    }
    case 'setIfAbsent':
      return current === undefined ? { fits: true, value: operation.value } : unfit;
    case 'take':
      return { fits: true, value: undefined };
    case 'compareAndSet':
      return { fits: true, value: operation.value };
  }
}
