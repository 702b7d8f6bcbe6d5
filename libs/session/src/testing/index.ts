export type { Expire } from './conformance/expiring.js';
export type { Plant } from './conformance/planting.js';
export type { TestRunner } from './conformance/runner.js';
export {
  describeSessionStore,
  type DescribeSessionStoreOptions,
  type StoreUnderTest,
} from './describe-session-store.js';
export { MemorySessionStore, type MemorySessionStoreOptions } from './memory-session.store.js';
