// Connections that ask again as soon as they are answered.
import { Connection } from './connection.mjs';

const SAMPLES = 3;

export class Load {
  /** @returns {Promise<Load>} */
  static async open(port, count) {
    const load = new Load();
    load.connections = await Promise.all(Array.from({ length: count }, () => Connection.open(port)));
    return load;
  }

  close() {
    for (const connection of this.connections) connection.close();
  }

  /**
   * Returns when the last answer is there, so that all that was done belongs to what was counted.
   * @param {import('./scenarios.mjs').Scenario} scenario
   * @param {{ seconds?: number, requests?: number }} end
   * @returns {Promise<{ requests: number, seconds: number, p50: number, p99: number, wrong: number, samples: string[] }>}
   *   latencies in milliseconds
   */
  async run(scenario, { seconds = Infinity, requests = Infinity }) {
    const latencies = [];
    const samples = [];
    let wrong = 0;
    let sent = 0;
    const begin = performance.now();
    const deadline = begin + seconds * 1000;
    await Promise.all(
      this.connections.map(
        (connection) =>
          new Promise((resolve, reject) => {
            let asked;
            const next = (now) => {
              const request = sent < requests && now < deadline ? scenario.request(connection) : undefined;
              if (request === undefined) return resolve();
              sent += 1;
              asked = now;
              connection.send(request);
            };
            connection.onFailure = reject;
            connection.onAnswer = (status, body, head) => {
              const now = performance.now();
              latencies.push(now - asked);
              const complaint =
                status[0] === '2'
                  ? scenario.answer(connection, body, head)
                  : scenario.refused(connection, status, body);
              if (complaint) {
                wrong += 1;
                if (samples.length < SAMPLES) samples.push(complaint);
              }
              next(now);
            };
            next(begin);
          }),
      ),
    );
    const elapsed = (performance.now() - begin) / 1000;
    const sorted = Float64Array.from(latencies).sort();
    const quantile = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
    return { requests: sent, seconds: elapsed, p50: quantile(0.5), p99: quantile(0.99), wrong, samples };
  }
}
