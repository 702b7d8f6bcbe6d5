// What an operation races in: visitors, requests to processes that are chosen at random, and a record of the answers.
import { post } from './client.mjs';
import { seeded } from './random.mjs';

/** Sessions that everybody writes to at once hold what this many tickets leave: well below `maxKeys` and `maxBytes`. */
const TICKETS_PER_SESSION = 150;
const ARRIVALS = 5;

/** Answers where the database would not or was too slow, and whether the request may have had its effect even so. */
const REFUSALS = new Map([
  ['503 SESSION_UNAVAILABLE', false],
  ['409 SESSION_CONFLICT', false],
  ['503 SESSION_OUTCOME_UNKNOWN', true],
  // The control knows no more.
  ['503', true],
]);

/** @typedef {{ name: string, cookie: string }} Visitor who has a session whose `name` is that */
/** @typedef {{ status: string, value?: any, cookie?: string, mayHaveHappened: boolean }} Answer */

export class Arena {
  /** How often each answer came. */
  answers = {};
  /** Answers that nobody should get. */
  wrong = [];
  /** Visitors whose session may be there, but who were not told. */
  abandoned = [];
  refused = 0;
  requests = 0;
  #name;
  #nodes;
  #seed;
  #visitors = 0;

  constructor(name, nodes, { total, workers, seed }) {
    this.total = total;
    this.workers = workers;
    this.#name = name;
    this.#nodes = nodes;
    this.#seed = seed;
  }

  /** Runs `work` for each ticket below `total`, in so many loops at a time: the first has 0, loops, 2 x loops, … */
  async each(loops, total, work) {
    const loop = async (first) => {
      const random = seeded(`${this.#seed}/${this.#name}/${first}`);
      for (let ticket = first; ticket < total; ticket += loops) await work(ticket, random);
    };
    await Promise.all(times(loops, loop));
  }

  /** Sessions that many tickets share; tickets that run at the same time have the same one. */
  async shared(valuesOf = () => ({})) {
    const random = seeded(`${this.#seed}/${this.#name}/shared`);
    const visitors = [];
    for (let first = 0; first < this.total; first += TICKETS_PER_SESSION) {
      const tickets = times(Math.min(TICKETS_PER_SESSION, this.total - first), (index) => first + index);
      visitors.push(await this.arrive(random, Object.assign({}, ...tickets.map(valuesOf))));
    }
    return { visitors, of: (ticket) => visitors[Math.floor(ticket / TICKETS_PER_SESSION)] };
  }

  /** @returns {Promise<Visitor>} with a new session that holds these values */
  async arrive(random, values = {}) {
    for (let attempt = 1; attempt <= ARRIVALS; attempt++) {
      const name = `${this.#name} ${++this.#visitors}`;
      const answer = await this.ask('set', random, undefined, { values: { name, ...values } });
      if (answer.status === 'done' && answer.cookie !== undefined) return { name, cookie: answer.cookie };
      if (answer.status === 'done') throw new Error('a new session came without a cookie');
      if (answer.mayHaveHappened) this.abandoned.push({ name });
    }
    throw new Error(`no session could be started in ${ARRIVALS} attempts`);
  }

  /**
   * One request to one of the processes.
   *
   * @param {string[]} [rightly] codes of errors that are right answers here
   * @returns {Promise<Answer>} `status` is 'done', 'refused', one of these codes, or 'wrong'
   */
  async ask(operation, random, cookie, body = {}, rightly = []) {
    const port = random.pick(this.#nodes.ports);
    const { status, body: answer, cookie: issued } = await post(port, operation, body, cookie);
    this.requests += 1;
    const outcome = [status, answer.code].filter(Boolean).join(' ');
    const label = `${operation} ${outcome}`;
    this.answers[label] = (this.answers[label] ?? 0) + 1;
    if (status === 200) return { status: 'done', value: answer.value, cookie: issued, mayHaveHappened: true };
    if (rightly.includes(answer.code)) return { status: answer.code, mayHaveHappened: false };
    if (REFUSALS.has(outcome)) {
      this.refused += 1;
      return { status: 'refused', mayHaveHappened: REFUSALS.get(outcome) };
    }
    this.wrong.push(`${label}: ${JSON.stringify(answer)}`);
    return { status: 'wrong', mayHaveHappened: true };
  }

  /**
   * Several requests with one cookie that meet: all their handlers run, with the session loaded, before any goes on.
   *
   * @param {{ operation: string, body?: object, rightly?: string[] }[]} requests
   * @returns {Promise<{ open(): void, answers: Promise<Answer[]> }>} once they have met
   */
  async meet(random, cookie, requests) {
    const gate = this.#nodes.gate(requests.length);
    const answers = Promise.all(
      requests.map(({ operation, body, rightly }) =>
        this.ask(operation, random, cookie, { ...body, gate: gate.id }, rightly).finally(() => gate.arrive()),
      ),
    );
    // It is for who opens the gate to see what became of them.
    answers.catch(() => {});
    await Promise.race([gate.reached, answers]);
    return { open: () => gate.open(), answers };
  }

  /** Several requests with one cookie at the same time; by the toss of a coin they meet. */
  async compete(random, cookie, requests) {
    if (random.coin()) {
      const { open, answers } = await this.meet(random, cookie, requests);
      open();
      return answers;
    }
    return Promise.all(
      requests.map(({ operation, body, rightly }) => this.ask(operation, random, cookie, body, rightly)),
    );
  }
}

/** @returns what `call` makes of 0 to `count` */
export const times = (count, call) => Array.from({ length: count }, (_, index) => call(index));

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
