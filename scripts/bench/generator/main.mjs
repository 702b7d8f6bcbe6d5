// The HTTP load generator, in a process of its own. It knows the visitors of each server: their cookies, and the value
// that each has stored last.
import { answerParent } from '../rpc.mjs';
import { Crowd } from './crowd.mjs';
import { Load } from './load.mjs';
import { scenarios } from './scenarios.mjs';

/** By server and size of session. @type {Map<string, Crowd>} */
const crowds = new Map();
/** @type {Load | undefined} */
let load;

const answers = {
  crowd({ crowd, ...options }) {
    crowds.set(crowd, new Crowd(options));
    return {};
  },
  async open({ port, connections }) {
    load = await Load.open(port, connections);
    return {};
  },
  async run({ crowd, scenario, seconds, requests }) {
    const begin = process.cpuUsage();
    const result = await load.run(new scenarios[scenario](crowds.get(crowd)), { seconds, requests });
    const { user, system } = process.cpuUsage(begin);
    return { ...result, generatorMicros: user + system };
  },
  close() {
    load.close();
    return {};
  },
};

answerParent({}, ({ verb, ...question }) => answers[verb](question));
