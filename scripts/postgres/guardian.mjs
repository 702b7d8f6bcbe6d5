import { runGuardian } from '../server/guardian.mjs';
import { joinCluster, startTemporaryCluster } from './cluster.mjs';

await runGuardian(({ folder, port }) => (folder ? joinCluster(folder, { port }) : startTemporaryCluster({ port })));
