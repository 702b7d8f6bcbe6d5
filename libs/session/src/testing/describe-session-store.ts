import type { SessionStore } from '../core/store.js';
import { describeCreate } from './conformance/creating.js';
import { describeEnd } from './conformance/ending.js';
import { describeExpiry, type Expire } from './conformance/expiring.js';
import { describeFind } from './conformance/finding.js';
import { describeUpdate } from './conformance/merging.js';
import { describeApply } from './conformance/operating.js';
import { describePlantedData, type Plant } from './conformance/planting.js';
import { describeRaces } from './conformance/racing.js';
import { describeLifetime } from './conformance/prolonging.js';
import { describeReplace } from './conformance/replacing.js';
import { globalRunner, type TestRunner } from './conformance/runner.js';
import { Sessions } from './conformance/sessions.js';
import { describeTouch } from './conformance/touching.js';

/** A store for the suite, with an empty or shared place to keep sessions in: each test makes its own. */
export interface StoreUnderTest {
  readonly store: SessionStore;
  /** Gives back what `createStore` opened, after the last test. The store's own `close` is called before. */
  close?(): Promise<void>;
}

export interface DescribeSessionStoreOptions {
  /** The limit that the store was made with. Default: 65536. */
  readonly maxBytes?: number;
  /** Runs of each property. Default: 100. */
  readonly numRuns?: number;
  /** Repeats the runs of a failure, which prints its seed. Default: another seed every time. */
  readonly seed?: number;
  /** Default: the global functions of Jest, Mocha or Vitest. */
  readonly runner?: TestRunner;
  /**
   * Lets the session with this id expire so many milliseconds from now (ago, where negative) by the store's clock, past
   * the store. Default: none, and the tests that need it do not exist.
   */
  readonly expire?: Expire;
  /**
   * Puts a JSON text where the store keeps the data of the session with this id, past the store. Default: none, and the
   * tests that need it do not exist.
   */
  readonly plant?: Plant;
}

/**
 * Describes, in tests, what a {@link SessionStore} has to do: the port sentence by sentence, races between requests, and
 * two properties over random input. Any value that a session takes comes back equal, and what two requests do to one
 * session at the same time equals, key by key, doing it one after the other.
 *
 * It needs the package fast-check, and of the store nothing but the port. Sessions expire by waiting, for some
 * seconds in all; nothing is asserted about speed. Give the store a generous deadline: a `conflict` fails a test.
 *
 * @param name of the store, for the title.
 * @param createStore is called once, before the first test.
 */
export function describeSessionStore(
  name: string,
  createStore: () => Promise<StoreUnderTest>,
  options: DescribeSessionStoreOptions = {},
): void {
  const { maxBytes = 65_536, expire, plant, runner = globalRunner() } = options;
  runner.describe(`${name} is a session store`, () => {
    const sessions = new Sessions(maxBytes);
    let opened: StoreUnderTest | undefined;

    runner.beforeAll(async () => {
      opened = await createStore();
      sessions.use(opened.store);
    });
    runner.afterAll(async () => {
      await opened?.store.close?.();
      await opened?.close?.();
    });

    for (const describeTopic of [
      describeCreate,
      describeFind,
      describeUpdate,
      describeTouch,
      describeLifetime,
      describeReplace,
      describeApply,
      describeEnd,
      describeRaces,
    ]) {
      describeTopic(runner, sessions);
    }
    if (expire) describeExpiry(runner, sessions, expire);
    if (plant) describePlantedData(runner, sessions, plant);
    describeProperties(runner, sessions, options);
  });
}

/** Loaded by the tests and not before, so that whoever needs the rest of this package needs no fast-check. */
function describeProperties(
  { describe, it }: TestRunner,
  sessions: Sessions,
  { numRuns = 100, seed }: DescribeSessionStoreOptions,
): void {
  const parameters = { numRuns, ...(seed !== undefined && { seed }) };
  describe('for any input', () => {
    it('what a session writes comes back equal', async () => {
      const { valuesRoundTrip } = await import('./conformance/properties/round-trip.js');
      await valuesRoundTrip(sessions, parameters);
    });

    it('what two requests do at the same time equals a serial order of it, key by key', async () => {
      const { requestsAreSerial } = await import('./conformance/properties/interleaving.js');
      await requestsAreSerial(sessions, parameters);
    });
  });
}
