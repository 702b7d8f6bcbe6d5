import { runGuardian } from '../server/guardian.mjs';
import { startTemporaryServer } from './server.mjs';

await runGuardian(startTemporaryServer);
