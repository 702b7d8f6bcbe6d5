// Whether processes keep what they should let go of.
import { sleep } from './faults/tools.mjs';

const INTERVAL = 10_000;
/** Until then a process fills its pool, its caches and the compiler's. */
const WARM_AFTER = 40_000;
/** Growth is told of lives that were looked at for so long after that: in less, it is noise. */
const LEAST = 60_000;
const MINUTE = 60_000;

/** Asks all processes every 10 s. Each answers when its garbage is collected. */
export class MemoryWatch {
  /** @type {Map<number, { at: number, rss: number, heapUsed: number }[]>} by process id */
  #lives = new Map();
  #timer;
  #fleet;

  constructor(fleet) {
    this.#fleet = fleet;
    this.#timer = setInterval(() => void this.#look(), INTERVAL);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async #look() {
    const running = this.#fleet.members.filter(({ isRunning, port }) => isRunning && port !== undefined);
    await Promise.all(
      running.map(async (member) => {
        const { pid } = member;
        const answer = await Promise.race([member.ask(), sleep(2000)]);
        if (!answer) return;
        const { rss, heapUsed } = answer;
        this.#lives.set(pid, [...(this.#lives.get(pid) ?? []), { at: performance.now(), rss, heapUsed }]);
      }),
    );
  }

  /** How each life that was long enough has grown. */
  get growth() {
    return [...this.#lives].flatMap(([pid, samples]) => growthOf(samples).map((growth) => ({ pid, ...growth })));
  }
}

/**
 * @param {{ at: number, rss: number, heapUsed: number }[]} samples of one process; the first tells when it began
 * @returns {{ seconds: number, heapMbPerMinute: number, rssMbPerMinute: number, heapMb: number[] }[]} with what was found each
 *   time, from the beginning; none of a life that was too short
 */
export function growthOf(samples) {
  const warm = samples.filter(({ at }) => at - samples[0].at >= WARM_AFTER);
  const milliseconds = warm.length > 0 ? warm.at(-1).at - warm[0].at : 0;
  if (milliseconds < LEAST) return [];
  const perMinute = (key) => slope(warm.map((each) => [each.at / MINUTE, each[key] / 2 ** 20]));
  return [
    {
      seconds: Math.round(milliseconds / 1000),
      heapMbPerMinute: perMinute('heapUsed'),
      rssMbPerMinute: perMinute('rss'),
      heapMb: samples.map(({ heapUsed }) => Number((heapUsed / 2 ** 20).toFixed(1))),
    },
  ];
}

/** Of the line that is nearest to all points. */
function slope(points) {
  const mean = (index) => points.reduce((sum, point) => sum + point[index], 0) / points.length;
  const [middle, height] = [mean(0), mean(1)];
  const rise = points.reduce((sum, [x, y]) => sum + (x - middle) * (y - height), 0);
  return Number((rise / points.reduce((sum, [x]) => sum + (x - middle) ** 2, 0)).toFixed(2));
}
