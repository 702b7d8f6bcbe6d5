import { collect } from './collect.mjs';

/** Every ticket appends an item that is its own. */
export const append = (arena) =>
  collect(arena, (cookie, item, random) => arena.ask('append', random, cookie, { key: 'items', item }));
