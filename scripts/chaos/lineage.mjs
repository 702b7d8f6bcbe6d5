// One session under all its cookies, and what was recorded of it.
import { judge } from './checker/judge.mjs';

export class Lineage {
  name;
  /** @type {string[]} the newest is the last */
  cookies = [];
  /** @type {import('./checker/judge.mjs').Event[]} */
  events = [];
  /** @type {number | undefined} */ idle;
  #items = 0;

  constructor(name) {
    this.name = name;
  }

  /** A value that nobody else has. */
  nextItem() {
    return `${this.name}:${++this.#items}`;
  }

  get cookie() {
    return this.cookies.length - 1;
  }

  /** Whether nobody can go on with it: it is not there any more under its newest cookie, or perhaps not. */
  get isOver() {
    return this.events.some(({ op, outcome, cookie }) => {
      if (op === 'destroy') return outcome !== 'refused';
      return cookie === this.cookie && (outcome === 'absent' || outcome === 'replaced');
    });
  }

  /** Judges it and forgets all but what may still be broken: that it has come to an end, and its cookies too. */
  close() {
    const harms = judge(this);
    this.events = this.events
      .filter(({ op, outcome }) => ['create', 'destroy', 'login', 'regenerate'].includes(op) && outcome !== 'refused')
      // Whether they were served rightly is judged.
      .map((event) => ({
        ...event,
        outcome: event.outcome === 'ok' ? 'ok' : 'unknown',
        owner: undefined,
        data: undefined,
      }));
    return harms;
  }
}
