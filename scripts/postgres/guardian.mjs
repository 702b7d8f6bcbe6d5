import { runGuardian } from '../server/guardian.mjs';
import { joinCluster, startTemporaryCluster } from './cluster.mjs';

await runGuardian(({ folder, ...options }) => (folder ? joinCluster(folder, options) : startTemporaryCluster(options)));
