import { applyAtomic } from '../../../core/atomic.js';
import type { AtomicOperation } from '../../../core/store.js';

/**
 * What one request has seen of one key: that it wrote it, that it read it, or how an operation ended. `undefined` is no
 * value; texts are JSON in the spelling of `JSON.stringify`.
 */
export type Seen =
  | { readonly kind: 'write'; readonly value: string | undefined }
  | { readonly kind: 'read'; readonly value: string | undefined }
  /** With the read before it, which is the one that it compares with. */
  | { readonly kind: 'compareAndSet'; readonly isApplied: boolean; readonly value: string | undefined }
  | {
      readonly kind: 'operation';
      readonly operation: AtomicOperation;
      readonly isApplied: boolean;
      /** What it answered; only where it was applied. */
      readonly value: string | undefined;
    };

/** One key in the course of two requests, each of which did things one after the other. */
export interface KeyHistory {
  readonly initial: string | undefined;
  readonly requests: readonly [readonly Seen[], readonly Seen[]];
  readonly final: string | undefined;
}

/** Whether doing everything one at a time, in some order that keeps each request's own, gives what was seen and is there. */
export function hasSerialOrder({ initial, requests, final }: KeyHistory): boolean {
  const [left, right] = requests;
  return explains({ value: initial, at: [0, 0], isFresh: [false, false] });

  function explains(state: State): boolean {
    const { at, value } = state;
    if (at[0] === left.length && at[1] === right.length) return value === final;
    return [0, 1].some((who) => {
      const seen = requests[who]![at[who]!];
      const next = seen && after(state, who, seen);
      return next !== undefined && explains(next);
    });
  }
}

interface State {
  readonly value: string | undefined;
  /** How far each request has come. */
  readonly at: readonly number[];
  /** Whether the key is as the request read it last. */
  readonly isFresh: readonly boolean[];
}

/** The state when this was next, or `undefined` where it cannot have been. */
function after(state: State, who: number, seen: Seen): State | undefined {
  const { value, isFresh } = state;
  const at = state.at.map((position, index) => (index === who ? position + 1 : position));
  const unchanged = { ...state, at };
  const changed = (to: string | undefined): State => ({ value: to, at, isFresh: [false, false] });
  switch (seen.kind) {
    case 'write':
      return changed(seen.value);
    case 'read':
      if (seen.value !== value) return undefined;
      return { ...unchanged, isFresh: isFresh.map((fresh, index) => fresh || index === who) };
    case 'compareAndSet':
      // Where it did not fit, another key may have changed: the version is that of the row.
      if (!seen.isApplied) return unchanged;
      return isFresh[who] ? changed(seen.value) : undefined;
    case 'operation': {
      const { operation, isApplied } = seen;
      const result = applyAtomic(operation, value);
      // Nothing to take is nothing that fits.
      const fits = result.fits && !(operation.kind === 'take' && value === undefined);
      if (fits !== isApplied) return undefined;
      if (!result.fits || !fits) return unchanged;
      const answer = operation.kind === 'take' ? value : result.value;
      return answer === seen.value ? changed(result.value) : undefined;
    }
  }
}
