import { describeBatches } from './support/describe-batches.js';

describeBatches(true);
