// The benchmark's load generator, with visitors whose sessions are in the table already, and with load that lasts until
// it is told to stop.
import { answerParent } from '../bench/rpc.mjs';
import { Crowd } from '../bench/generator/crowd.mjs';
import { Load } from '../bench/generator/load.mjs';
import { scenarios } from '../bench/generator/scenarios.mjs';
import { firstValue } from '../bench/session-data.mjs';
import { tokenOf } from './tokens.mjs';

/** Visitors of one table: some of its sessions, spread over all of it. */
class SpreadCrowd extends Crowd {
  constructor({ size, sessions, seed }) {
    // Named on the way, as the parent class does it for those who have no session.
    super({ size, kilobytes: 1, seed, keeps: true });
    this.numbers = Array.from({ length: size }, (_, index) => 1 + Math.floor((index * sessions) / size));
    for (const [index, number] of this.numbers.entries()) this.welcome(index, `sid=${tokenOf(seed, number)}`);
  }

  expected(index) {
    const number = this.numbers[index];
    return `{"visitor":"${number}","value":"${firstValue(number)}"}`;
  }
}

/** Everybody looks once, so that what they read is where it is for a visitor who comes back. */
class Once extends scenarios.read {
  #next = 0;

  request(connection) {
    if (this.#next === this.crowd.size) return undefined;
    connection.visitor = this.#next++;
    return this.crowd.requests[connection.visitor];
  }
}

class UntilStopped extends scenarios.read {
  isOver = false;

  request(connection) {
    return this.isOver ? undefined : super.request(connection);
  }
}

const kinds = { read: scenarios.read, once: Once };
/** @type {Map<string, SpreadCrowd>} */
const crowds = new Map();
/** @type {Load | undefined} */
let load;
let endless;

const answers = {
  crowd({ crowd, ...options }) {
    crowds.set(crowd, new SpreadCrowd(options));
    return {};
  },
  async open({ port, connections }) {
    load = await Load.open(port, connections);
    return {};
  },
  run: ({ crowd, scenario, ...end }) => measured(load.run(new kinds[scenario](crowds.get(crowd)), end)),
  begin({ crowd }) {
    const scenario = new UntilStopped(crowds.get(crowd));
    endless = { scenario, result: measured(load.run(scenario, {})) };
    // Asked for in `end`.
    endless.result.catch(() => {});
    return {};
  },
  end() {
    endless.scenario.isOver = true;
    return endless.result;
  },
  close() {
    load.close();
    return {};
  },
};

async function measured(running) {
  const begin = process.cpuUsage();
  const result = await running;
  const { user, system } = process.cpuUsage(begin);
  return { ...result, generatorMicros: user + system };
}

answerParent({}, ({ verb, ...question }) => answers[verb](question));
