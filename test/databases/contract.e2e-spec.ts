import { describeContract } from '../support/describe-contract.js';
import { describeDatabases } from '../support/describe-databases.js';

describeDatabases('a session', describeContract);
