// Holds handlers until the parent has seen as many as it waits for, in whichever processes they are.

const waiting = new Map();

process.on('message', ({ open }) => {
  for (const go of waiting.get(open) ?? []) go();
  waiting.delete(open);
});

/** The parent opens each gate in all processes, once, and only after everybody has arrived. */
export function passGate(gate) {
  // Where the parent has gone, so do we: there is nobody to wait for.
  process.send({ arrived: gate }, () => {});
  return new Promise((go) => waiting.set(gate, [...(waiting.get(gate) ?? []), go]));
}
