import { collect } from './collect.mjs';

const ATTEMPTS = 20;

/** As append, by a function of the list; where others were faster too often, the request is repeated. */
export const update = (arena) =>
  collect(arena, async (cookie, item, random) => {
    for (let attempt = 1; ; attempt++) {
      const answer = await arena.ask('update', random, cookie, { key: 'items', item });
      if (answer.status === 'done' || answer.mayHaveHappened || attempt === ATTEMPTS) return answer;
    }
  });
