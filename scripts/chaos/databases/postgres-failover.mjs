// A primary with two standbys, behind HAProxy, which finds the one that is the primary.
import { HaProxy } from '../../engines/haproxy.mjs';
import { PostgresTrio } from '../../engines/postgres-trio.mjs';
import { behindNetwork, postgresReads, readOnlyPostgres, withClient } from './networked.mjs';
import { refuses, sleep, until } from '../faults/tools.mjs';

/** @param {{ asynchronous?: boolean }} [options] `asynchronous`: commits wait for no standby, so a failover may lose some */
export async function start({ asynchronous = false } = {}) {
  const engine = await PostgresTrio.start({ synchronous: !asynchronous });
  const balancer = await HaProxy.start(engine);
  const serves = () => until(() => answersAsPrimary(engine, balancer.url()), 'the new primary answers by HAProxy');

  /** The old primary goes away by `leave`, a standby takes over, the old one becomes its standby. */
  const failover = (leave) => async (world) => {
    const old = engine.primary;
    await leave(old, world);
    const now = await engine.failover();
    await serves();
    return { old, now };
  };
  const told = async ({ old, now }, how) => {
    const [{ standby }] = await engine.query('SELECT pg_is_in_recovery() AS standby', { node: now });
    if (standby) throw new Error(`node ${now} was not promoted`);
    return `node ${old} ${how}; node ${now} is no standby any more`;
  };

  return behindNetwork(engine, {
    family: 'postgres',
    address: balancer.url(),
    ...postgresReads(engine),
    faults: {
      async 'primary-killed'(world) {
        const behind = asynchronous ? Math.round(world.between(200, 500)) : 0;
        const result = await failover(async (old) => {
          // On one machine they are behind by less than anybody notices.
          if (asynchronous) await stopStreaming(engine, old, behind);
          await engine.kill(old);
          await refuses(engine.url(old));
        })(world);
        world.afterwards(() => engine.rejoin(result.old));
        return told(result, `was gone, its port refused${asynchronous ? `; the others were ${behind} ms behind` : ''}`);
      },
      async 'primary-frozen'(world) {
        const result = await failover((old) => engine.freeze(old))(world);
        // There are two who think that they are the primary, and connections to the old one.
        engine.thaw(result.old);
        await sleep(world.between(500, 1500));
        await engine.rejoin(result.old);
        return told(result, 'was frozen, came back while another was the primary');
      },
      async 'switch-over'(world) {
        const result = await failover((old) => engine.stop(old, 'fast'))(world);
        world.afterwards(() => engine.rejoin(result.old));
        return told(result, 'was stopped');
      },
      async 'restart-immediate'() {
        const { primary } = engine;
        await engine.stop(primary, 'immediate');
        await refuses(engine.url(primary));
        await engine.restart(primary);
        await serves();
        return `node ${primary} was gone, its port refused; it is the primary again`;
      },
      async 'standby-killed'(world) {
        const standby = [1, 2, 3].find((node) => node !== engine.primary);
        await engine.kill(standby);
        await refuses(engine.url(standby));
        await sleep(world.between(1000, 2000));
        await engine.rejoin(standby);
        return `node ${standby} was gone, its port refused; it streams again`;
      },
      'read-only': readOnlyPostgres(engine),
    },
    skipped: {},
    async close() {
      await balancer.close();
      await engine.close();
    },
  });
}

/** What it writes from now on, its standbys get to know late: here, for so many milliseconds. */
async function stopStreaming(engine, node, milliseconds) {
  const senders = await engine.query('SELECT pid FROM pg_stat_replication', { node });
  for (const { pid } of senders) process.kill(pid, 'SIGSTOP');
  await sleep(milliseconds);
}

const answersAsPrimary = (engine, connectionString) =>
  withClient({ connectionString }, async (client) => {
    const { rows } = await client.query('SELECT pg_is_in_recovery() AS standby, inet_server_port() AS port');
    return !rows[0].standby && rows[0].port === engine.ports[engine.primary - 1];
  });
