// Applications that are wrong on purpose, one for each kind of harm: what others' session stores do. The checker has to
// find each, or finding nothing means nothing.

/** Only now and then, as in life. */
const everyFew = () => {
  let calls = 0;
  return () => ++calls % 10 === 0;
};

/** @type {Record<string, (answer: Function, tools: { rows(): import('typeorm').Repository<any> }) => Function>} */
const DEFECTS = {
  /** Answers before it has saved, and then does not. */
  lost(answer) {
    const isDue = everyFew();
    return async (session, operation, body) => {
      const owner = session.get('owner');
      if (operation === 'append' && owner === body.owner && isDue()) return { owner };
      return answer(session, operation, body);
    };
  },

  /** Repeats a write of which it does not know whether it was done. */
  duplicated(answer) {
    const isDue = everyFew();
    return async (session, operation, body) => {
      if (operation === 'append' && isDue()) await answer(session, operation, body);
      return answer(session, operation, body);
    };
  },

  /** A late `repository.save()`, which inserts what is no longer there. */
  resurrected(answer, { rows }) {
    return async (session, operation, body) => {
      if (operation !== 'destroy') return answer(session, operation, body);
      const row = await rows().findOneBy({ id: session.id });
      const result = await answer(session, operation, body);
      if (row) await rows().save(row);
      return result;
    };
  },

  /** A cache that has not heard of an expiry. */
  servedExpired(answer) {
    const cache = new Map();
    return async (session, operation, body) => {
      const result = await answer(session, operation, body);
      if (operation !== 'read' || !body.isIdle) return result;
      if (result.owner !== undefined) cache.set(body.owner, result);
      return cache.get(body.owner) ?? result;
    };
  },

  /** Keeps "the session" where all requests can reach it. */
  crossed(answer) {
    const isDue = everyFew();
    let last;
    return async (session, operation, body) => {
      const result = await answer(session, operation, body);
      if (operation !== 'read') return result;
      const before = last;
      if (result.owner !== undefined) last = result;
      return before !== undefined && isDue() ? before : result;
    };
  },

  /** A clean-up that goes by when it last looked at a session, and not by the row. */
  deletedAlive(answer, { rows }) {
    const isDue = everyFew();
    let before;
    return async (session, operation, body) => {
      const result = await answer(session, operation, body);
      if (operation !== 'increment') return result;
      if (before !== undefined && isDue()) await rows().delete({ id: before });
      before = session.id;
      return result;
    };
  },

  /** A write past the library, which others cannot notice by the version. */
  versionJumps(answer, { rows }) {
    const isDue = everyFew();
    return async (session, operation, body) => {
      const result = await answer(session, operation, body);
      if (operation === 'append' && isDue()) await rows().update({ id: session.id }, { persistent: false });
      return result;
    };
  },
};

export const defects = Object.keys(DEFECTS);

/** @param {string} [name] of the defect; without, nothing is wrong */
export const plant = (name, answer, tools) => (name === undefined ? answer : DEFECTS[name](answer, tools));
