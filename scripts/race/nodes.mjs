// The processes of the application, and the gates at which their handlers wait.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('node/main.mjs', import.meta.url));

/** @returns {Promise<{ ports: number[], gate(arrivals: number): Gate, stop(): Promise<void> }>} */
export async function startNodes(count, options) {
  const gates = new Map();
  const nodes = Array.from({ length: count }, () => {
    const node = fork(main, [JSON.stringify(options)], { env: { ...process.env, NODE_ENV: 'development' } });
    node.on('message', ({ arrived }) => gates.get(arrived)?.arrive());
    return node;
  });
  const stop = async () => {
    gates.clear();
    const running = nodes.filter((node) => node.exitCode === null && node.signalCode === null);
    await Promise.all(
      running.map((node) => {
        const exited = once(node, 'exit');
        node.disconnect();
        return exited;
      }),
    );
  };
  try {
    const ports = await Promise.all(nodes.map(portOf));
    return { ports, stop, gate: (arrivals) => openGate(arrivals, gates, nodes) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @returns {Promise<number>} where a process of the application that was started just now listens */
export async function portOf(node) {
  const failed = once(node, 'exit').then(([code]) => {
    throw new Error(`a process of the application ended with ${code} before it listened`);
  });
  const [{ port }] = await Promise.race([once(node, 'message'), failed]);
  // Later it is the requests that fail.
  failed.catch(() => {});
  return port;
}

let lastGate = 0;

/**
 * @typedef {{ id: number, reached: Promise<void>, arrive(): void, open(): void }} Gate `arrive` is also for requests
 *   that were answered before they came to the gate
 * @returns {Gate}
 */
function openGate(arrivals, gates, nodes) {
  const id = ++lastGate;
  let missing = arrivals;
  let settle;
  const reached = new Promise((resolve) => (settle = resolve));
  const gate = {
    id,
    reached,
    arrive() {
      missing -= 1;
      if (missing === 0) settle();
    },
    open() {
      if (gates.delete(id)) for (const node of nodes) node.send({ open: id });
    },
  };
  gates.set(id, gate);
  return gate;
}
