// What a request does to its session. Each says whose session it expects, and does nothing where it finds another, or none.
import { setTimeout as sleep } from 'node:timers/promises';
import { operations } from '../../race/node/operation-controller.mjs';

const OWN = {
  async set(session, { key, item, wait }) {
    if (wait) await sleep(wait);
    session.set(key, item);
  },
  login: (session, { owner, idle }) =>
    session.login(`${owner}:user`, { keep: session.keys(), ...(idle && { idleTimeout: idle }) }),
};

/** @returns {Promise<{ owner?: string, value?: any, data?: object }>} `owner` is whose session it was */
export async function operate(session, operation, body, dataSource) {
  if (operation === 'hold') return hold(dataSource, body);
  if (operation === 'create') {
    for (const [key, value] of Object.entries(body.values)) session.set(key, value);
    return { owner: body.owner };
  }
  const owner = session.get('owner');
  if (operation === 'read') {
    return { owner, data: owner && { ...operations.read(session), user: session.userId ?? '' } };
  }
  if (owner !== body.owner) return { owner };
  return { owner, value: await (OWN[operation] ?? operations[operation])(session, body) };
}

/** Takes connections out of the pool that the sessions use, and keeps them. */
async function hold(dataSource, { connections, milliseconds }) {
  const runners = Array.from({ length: connections }, () => dataSource.createQueryRunner());
  const held = await Promise.allSettled(runners.map((runner) => runner.connect()));
  await sleep(milliseconds);
  await Promise.all(runners.map((runner) => runner.release()));
  return { value: held.filter(({ status }) => status === 'fulfilled').length };
}
