// A Redis of our own, from the package of the distribution.
import { peer } from '../peers.mjs';
import { startGuarded } from '../../server/start-guarded.mjs';
import { DURABILITY } from './redis/server.mjs';

export async function start() {
  const server = await startGuarded('Redis', new URL('redis/guardian.mjs', import.meta.url), {});
  const client = peer('redis').createClient({ url: server.url });
  await client.connect();
  const calls = async () => {
    const statistics = await client.info('commandstats');
    const counts = [...statistics.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
    return counts.filter(([, command]) => command !== 'info').reduce((sum, [, , count]) => sum + Number(count), 0);
  };
  const [, version] = /^redis_version:(\S+)/m.exec(await client.info('server'));
  let databases = 0;
  return {
    pid: server.pid,
    configuration: { ...DURABILITY, redis_version: version },
    create: () => `${server.url}/${databases++}`,
    settle() {},
    /** Every command that the work has sent. */
    async countStatements(_, work) {
      const before = await calls();
      await work();
      return (await calls()) - before;
    },
    async stop() {
      await client.close();
      await server.stop();
    },
  };
}
