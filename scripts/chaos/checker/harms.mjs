// What the checker counts. Each harm is told with a sentence, for whoever has to find out why.

/** @typedef {'lost' | 'stale' | 'vanished' | 'duplicated' | 'resurrected' | 'servedExpired' | 'crossed'} Harm */

/** @type {readonly Harm[]} */
export const HARMS = ['lost', 'stale', 'vanished', 'duplicated', 'resurrected', 'servedExpired', 'crossed'];

const SENTENCES = 50;

export class Harms {
  counts = Object.fromEntries(HARMS.map((harm) => [harm, 0]));
  sentences = [];

  /** @param {Harm} harm */
  add(harm, sentence) {
    this.counts[harm] += 1;
    if (this.sentences.length < SENTENCES) this.sentences.push(`${harm}: ${sentence}`);
  }

  merge(other) {
    for (const harm of HARMS) this.counts[harm] += other.counts[harm];
    this.sentences.push(...other.sentences.slice(0, SENTENCES - this.sentences.length));
  }

  get total() {
    return HARMS.reduce((total, harm) => total + this.counts[harm], 0);
  }
}
