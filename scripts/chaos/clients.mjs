// What visitors do: each has a session of its own for a while, shares another with three others, and now and then one that
// it leaves alone until it expires. It never asks for a second thing before it knows what came of the first, but where
// two requests are meant to meet.
import { seeded } from '../race/random.mjs';
import { sleep } from './faults/tools.mjs';
import { Lineage } from './lineage.mjs';

const SHARED_BY = 4;
const REGISTERS = ['first', 'second', 'third'];
const IDLE = 2000;
const GRAVEYARD = 20;
/** How many requests a session lives for: what it holds stays well below the library's limits. */
const LIFE = { least: 25, most: 60, shared: 90 };

export class Clients {
  /** Sessions that are still there, as far as we know, or may be. @type {Lineage[]} */
  open = [];
  /** Sessions that have ended, and were judged. @type {Lineage[]} */
  closed = [];
  #traffic;
  #seed;
  #pause;
  #onJudged;
  #isOver = false;
  #shared = new Map();
  #names = 0;
  #running;
  #aside = new Set();

  /**
   * @param {import('./traffic.mjs').Traffic} traffic
   * @param {{ clients: number, rate: number, seed: string, onJudged: (harms: any, lineage: object) => void }} options
   */
  constructor(traffic, { clients, rate, seed, onJudged }) {
    this.#traffic = traffic;
    this.#seed = seed;
    this.#pause = (clients * 1000) / rate;
    this.#onJudged = onJudged;
    this.#running = Array.from({ length: clients }, (_, index) => this.#visit(index));
  }

  /** Lets everybody finish what is under way. */
  async stop() {
    this.#isOver = true;
    await Promise.all(this.#running);
    await Promise.all(this.#aside);
  }

  async #visit(index) {
    const random = seeded(`${this.#seed}/client ${index}`);
    const visitor = { index, random, lineage: undefined, left: 0, graveyard: [] };
    while (!this.#isOver) {
      await this.#act(visitor);
      await sleep(random.fraction() * 2 * this.#pause);
    }
  }

  async #act(visitor) {
    const { random, graveyard } = visitor;
    const dice = random.fraction();
    if (dice < 0.02) this.#besides(this.#leaveAlone(visitor));
    else if (dice < 0.05 && graveyard.length > 0) await this.#probe(visitor, random.pick(graveyard));
    else if (dice < 0.2) await this.#share(visitor);
    else if (!visitor.lineage) await this.#arrive(visitor);
    else if (visitor.left-- <= 0) await this.#leave(visitor);
    else await this.#use(visitor);
    if (visitor.lineage?.isOver) this.#give(visitor);
  }

  #besides(work) {
    this.#aside.add(work);
    work.finally(() => this.#aside.delete(work));
  }

  async #create(random) {
    const lineage = new Lineage(`s${++this.#names}`);
    const values = { owner: lineage.name, items: [], updates: [], count: 0 };
    for (const key of REGISTERS) values[key] = '';
    this.open.push(lineage);
    const { outcome } = await this.#traffic.ask(lineage, 'create', random, { values });
    return outcome === 'ok' && lineage.cookies.length > 0 ? lineage : undefined;
  }

  async #arrive(visitor) {
    const { random } = visitor;
    visitor.lineage = await this.#create(random);
    visitor.left = LIFE.least + random.fraction() * (LIFE.most - LIFE.least);
  }

  /** One thing with the session of one's own. */
  async #use({ random, lineage, graveyard }) {
    const ask = (op, body) => this.#traffic.ask(lineage, op, random, body);
    const dice = random.fraction();
    if (dice < 0.25) await ask('read');
    else if (dice < 0.45) await ask('append', { key: 'items', item: lineage.nextItem() });
    else if (dice < 0.6) await ask('increment', { key: 'count' });
    else if (dice < 0.75) await ask('set', { key: random.pick(REGISTERS), item: lineage.nextItem() });
    else if (dice < 0.85) await ask('update', { key: 'updates', item: lineage.nextItem() });
    else if (dice < 0.92) await this.#contend(lineage, ask);
    else await this.#replace(random, lineage, graveyard, ask);
  }

  /** Two tabs want what is there once. */
  async #contend(lineage, ask) {
    const item = lineage.nextItem();
    const key = item.slice(item.indexOf(':') + 1);
    await ask('put', { key: `nonce${key}`, item });
    await Promise.all([ask('take', { key: `nonce${key}` }), ask('take', { key: `nonce${key}` })]);
  }

  /** A new token, and every other time while a slow request has the old one. */
  async #replace(random, lineage, graveyard, ask) {
    const { cookie } = lineage;
    const op = random.pick(['login', 'regenerate']);
    const late =
      random.coin() && ask('set', { key: 'first', item: lineage.nextItem(), wait: 50 + random.fraction() * 200 });
    if (late) await sleep(random.fraction() * 100);
    const { outcome } = await ask(op, {});
    if (late) await late;
    if (outcome === 'ok') bury(graveyard, lineage, cookie);
  }

  async #share(visitor) {
    const { random, index } = visitor;
    const group = Math.floor(index / SHARED_BY);
    const before = this.#shared.get(group);
    if (!before || before.events.length > LIFE.shared || before.isOver) {
      const lineage = await this.#create(random);
      if (lineage) this.#shared.set(group, lineage);
      return;
    }
    const ask = (op, body) => this.#traffic.ask(before, op, random, body);
    const dice = random.fraction();
    if (dice < 0.3) await ask('read');
    else if (dice < 0.55) await ask('append', { key: 'items', item: before.nextItem() });
    else if (dice < 0.75) await ask('increment', { key: 'count' });
    else if (dice < 0.85) await ask('update', { key: 'updates', item: before.nextItem() });
    else await ask('set', { key: `client${index}`, item: before.nextItem() });
  }

  /** Signs in for two seconds, comes back once in time, and then too late. */
  async #leaveAlone({ random }) {
    const lineage = await this.#create(random);
    if (!lineage) return;
    const ask = (op, body) => this.#traffic.ask(lineage, op, random, { ...body, isIdle: true });
    // Also where nobody knows whether the sign-in was done.
    lineage.idle = IDLE;
    const { outcome, end } = await ask('login', { idle: IDLE });
    if (outcome !== 'ok') return;
    await sleep(random.fraction() * IDLE * 0.9);
    const { end: lastEnd } = await ask('read');
    for (const late of [20, 500 + random.fraction() * 2000]) {
      await sleep(Math.max(0, Math.max(end, lastEnd) + IDLE + late - performance.now()));
      await ask('read');
    }
  }

  /** Looks once more, and signs out, every third time while a slow request is under way; some just stay away. */
  async #leave(visitor) {
    const { random, lineage, graveyard } = visitor;
    const ask = (op, body) => this.#traffic.ask(lineage, op, random, body);
    await ask('read');
    if (random.fraction() < 0.2) {
      visitor.lineage = undefined;
      return;
    }
    const late = random.fraction() < 0.3 && ask('set', { key: 'second', item: lineage.nextItem(), wait: 100 });
    const { outcome } = await ask('destroy');
    if (late) await late;
    if (outcome !== 'ok') return;
    bury(graveyard, lineage, lineage.cookie);
    await ask('read');
    this.#give(visitor);
  }

  /** The visitor goes on with another. Only of what surely has ended, all is known. */
  #give(visitor) {
    const { lineage } = visitor;
    visitor.lineage = undefined;
    if (!lineage.events.some(({ op, outcome }) => op === 'destroy' && outcome === 'ok')) return;
    this.open.splice(this.open.indexOf(lineage), 1);
    const { name, events } = lineage;
    this.#onJudged(lineage.close(), { name, events });
    this.closed.push(lineage);
  }

  /** A cookie that is worth nothing any more. */
  async #probe({ random }, { lineage, cookie }) {
    await this.#traffic.ask(lineage, 'read', random, {}, cookie);
  }
}

function bury(graveyard, lineage, cookie) {
  graveyard.push({ lineage, cookie });
  if (graveyard.length > GRAVEYARD) graveyard.shift();
}
