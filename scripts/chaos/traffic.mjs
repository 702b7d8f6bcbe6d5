// Requests to whichever process comes, and a record of each with what came of it.
import { post } from '../race/client.mjs';
import { LONGEST } from './node/stopwatch.mjs';
import { sleep } from './faults/tools.mjs';

/** A client that has waited for so long has hung up. */
const PATIENCE = 6000;
const OUTCOMES = new Map([
  ['401 SESSION_GONE', 'absent'],
  ['401 SESSION_REQUIRED', 'absent'],
  ['409 SESSION_REPLACED', 'replaced'],
  ['409 SESSION_CONFLICT', 'refused'],
  ['503 SESSION_UNAVAILABLE', 'refused'],
  ['503 SESSION_OUTCOME_UNKNOWN', 'unknown'],
]);
const TRIES = 20;

export class Traffic {
  /** Of each request: when it was asked for and answered, and what came of it. */
  log = [];
  /** How often each refusal came. */
  refusals = {};
  /** Answers that nobody should get. */
  wrong = [];
  #fleet;

  constructor(fleet) {
    this.#fleet = fleet;
  }

  /**
   * @param {import('./lineage.mjs').Lineage} lineage
   * @param {string} op
   * @param {object} body
   * @param {number} [cookie] which of the lineage's, if not the newest
   * @returns {Promise<import('./checker/judge.mjs').Event>} it is in the lineage's events from the moment it is asked for
   */
  async ask(lineage, op, random, body = {}, cookie = lineage.cookie) {
    const event = {
      op,
      begin: performance.now(),
      end: Infinity,
      outcome: 'unknown',
      cookie,
      key: body.key,
      item: body.item,
    };
    lineage.events.push(event);
    // Every key of the library's `set` is called so; the handler sees no difference between a register and a nonce.
    const operation = op === 'put' ? 'set' : op;
    const answer = await this.#send(operation, random, { ...body, owner: lineage.name }, lineage.cookies[cookie]);
    event.end = performance.now();
    Object.assign(event, answer.result);
    if (answer.cookie !== undefined && answer.cookie !== lineage.cookies[cookie]) lineage.cookies.push(answer.cookie);
    if (answer.isCleared && op !== 'destroy') this.wrong.push(`${op} of ${lineage.name} cleared the cookie`);
    this.log.push({
      op,
      begin: event.begin,
      end: event.end,
      waited: body.wait ?? 0,
      outcome: event.outcome,
      unanswered: event.unanswered,
      code: answer.code,
      member: answer.member,
      longest: answer.longest,
    });
    return event;
  }

  async #send(operation, random, body, cookie) {
    for (let attempt = 1; ; attempt++) {
      const member = random.pick(this.#fleet.reachable);
      const about = { member: member.index };
      try {
        const {
          status,
          headers,
          body: answer,
          cookie: issued,
          isCleared,
        } = await post(member.port, operation, body, cookie, PATIENCE);
        about.longest = Number(headers[LONGEST]);
        return { ...about, ...this.#resultOf(operation, status, answer, body), cookie: issued, isCleared };
      } catch (error) {
        // Nobody listens there, and a balancer asks another.
        if (error.code === 'ECONNREFUSED' && attempt < TRIES) {
          await sleep(20);
          continue;
        }
        this.#count('no answer');
        return { ...about, code: 'no answer', result: { outcome: 'unknown', unanswered: true } };
      }
    }
  }

  #resultOf(operation, status, answer, { owner: expected }) {
    const { owner, value, data } = answer;
    if (status === 200) {
      return { result: { outcome: owner === undefined ? 'absent' : 'ok', owner, value, data }, expected };
    }
    const code = [status, answer.code].filter(Boolean).join(' ');
    const outcome = OUTCOMES.get(code);
    if (outcome === undefined) this.wrong.push(`${operation}: ${code} ${JSON.stringify(answer)}`);
    if (outcome !== 'absent' && outcome !== 'replaced') this.#count(code);
    return { code, result: { outcome: outcome ?? 'unknown' } };
  }

  #count(code) {
    this.refusals[code] = (this.refusals[code] ?? 0) + 1;
  }
}
