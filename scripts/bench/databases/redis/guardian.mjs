import { runGuardian } from '../../../server/guardian.mjs';
import { startRedis } from './server.mjs';

await runGuardian(startRedis);
