// Choices that a seed repeats. When requests meet is the machine's choice, and differs all the same.

/** @param {string} seed */
export function seeded(seed) {
  let state = 2166136261;
  // FNV-1a: loops whose seeds differ in one character choose differently.
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 16777619);
  // mulberry32
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    pick: (list) => list[Math.floor(next() * list.length)],
    coin: () => next() < 0.5,
    /** A fraction from 0 to 1. */
    fraction: next,
  };
}
