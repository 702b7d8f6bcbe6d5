// CPU time of processes that cannot be asked for it, from Linux' /proc. Elsewhere there are no figures.
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks are hundredths of a second on all Linux that there is. */
const MICROS_PER_TICK = 10_000;

/** @returns {number} microseconds of this process, its threads, its children, and its children that have ended */
export function treeMicros(pid) {
  if (process.platform !== 'linux') return NaN;
  const threads = readdirSync(`/proc/${pid}/task`);
  const children = threads.flatMap((thread) => words(`/proc/${pid}/task/${thread}/children`));
  return [...threads.map((thread) => threadMicros(pid, thread)), endedMicros(pid), ...children.map(leafMicros)].reduce(
    (sum, micros) => sum + micros,
  );
}

/** Of all that runs on this machine. */
export function machineMicros() {
  if (process.platform !== 'linux') return NaN;
  const [, user, nice, system, , , interrupts, softInterrupts] = words('/proc/stat').map(Number);
  return (user + nice + system + interrupts + softInterrupts) * MICROS_PER_TICK;
}

/** In nanoseconds, where /proc/<pid>/stat has hundredths of a second, which for ten short backends is no figure. */
const threadMicros = (pid, thread) => Number(words(`/proc/${pid}/task/${thread}/schedstat`)[0]) / 1000;

/** Backends have no children. One that ends in this moment is among the ended ones a moment later. */
function leafMicros(pid) {
  try {
    return threadMicros(pid, pid);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return 0;
    throw error;
  }
}

function endedMicros(pid) {
  // The name of the program, in parentheses, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  const [childrenUser, childrenSystem] = fields.slice(13, 15).map(Number);
  return (childrenUser + childrenSystem) * MICROS_PER_TICK;
}

const words = (file) => readFileSync(file, 'utf8').trim().split(/\s+/).filter(Boolean);
