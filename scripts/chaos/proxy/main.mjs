// Forwards connections, or fails as networks do. Modes:
//
//   pass
//   delay      everything takes `milliseconds` longer, each way
//   refuse     connections are reset, those that come too
//   partition  nothing gets through, and all of it arrives when the partition is over
//   silence    what is sent is swallowed; a connection that it happened to stays mute for ever
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

process.once('disconnect', () => process.exit());
const [target] = await once(process, 'message');

let mode = 'pass';
let delay = 0;
/** @type {Set<{ client: import('node:net').Socket, upstream: import('node:net').Socket, held: Function[] }>} */
const links = new Set();

const server = createServer((client) => {
  if (mode === 'refuse') return void client.resetAndDestroy();
  const link = { client, upstream: connect(target), held: [], isMute: mode === 'silence' };
  links.add(link);
  const end = () => {
    links.delete(link);
    client.destroy();
    link.upstream.destroy();
  };
  for (const [from, to] of [
    [client, link.upstream],
    [link.upstream, client],
  ]) {
    const way = { delayed: 0 };
    from.setNoDelay(true);
    from.on('error', () => {});
    from.on('data', (chunk) => pass(link, way, () => to.write(chunk)));
    from.on('close', () => (link.isMute ? end() : pass(link, way, end)));
  }
});

function pass(link, way, forward) {
  link.isMute ||= mode === 'silence';
  if (link.isMute) return;
  if (mode === 'partition') link.held.push(forward);
  // What is behind something that is late is late as well.
  else if (mode === 'delay' || way.delayed > 0) {
    way.delayed += 1;
    setTimeout(() => {
      way.delayed -= 1;
      forward();
    }, delay);
  } else forward();
}

process.on('message', ({ mode: wanted, milliseconds }) => {
  const connections = links.size;
  mode = wanted;
  delay = milliseconds ?? delay;
  if (mode === 'refuse')
    for (const { client, upstream } of links) for (const end of [client, upstream]) end.resetAndDestroy();
  if (mode === 'pass') for (const { held } of links) for (const forward of held.splice(0)) forward();
  process.send({ connections });
});
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
