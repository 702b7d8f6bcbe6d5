import { append } from './append.mjs';
import { destroy } from './destroy.mjs';
import { increment } from './increment.mjs';
import { regenerate } from './regenerate.mjs';
import { setIfAbsent } from './set-if-absent.mjs';
import { set } from './set.mjs';
import { take } from './take.mjs';
import { update } from './update.mjs';

/**
 * Each makes its requests and returns what judges them by the rows that are there at the end.
 * @type {Record<string, (arena: import('../arena.mjs').Arena) => Promise<(truth: import('../truth.mjs').Truth) =>
 *   { acknowledged: number, lost: number, duplicated: number, resurrected: number }>>}
 */
export const operations = { set, increment, append, update, take, setIfAbsent, destroy, regenerate };
