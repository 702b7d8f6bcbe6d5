import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseJson } from '../../../core/parse-json.js';
import type { AtomicOperation, SessionRef } from '../../../core/store.js';
import type { Sessions, Values } from '../sessions.js';
import { hasSerialOrder, type Seen } from './serial-order.js';

/** Few, so that the requests meet. */
const KEYS = ['a', 'b'] as const;

/** What a request does at once with the session. `undefined` as a value unsets the key. */
type Deed =
  | { readonly kind: 'update'; readonly changes: ReadonlyMap<string, string | undefined> }
  | { readonly kind: 'compareAndSet'; readonly key: string; readonly value: string | undefined }
  | { readonly kind: 'operation'; readonly operation: AtomicOperation };

/** A deed, and how many turns of the event loop pass before it: they vary how the requests interleave. */
interface Step {
  readonly turns: number;
  readonly deed: Deed;
}

type Log = Map<string, Seen[]>;

/** For each key, what two requests do to one session at the same time is what they would do one after the other. */
export async function requestsAreSerial(sessions: Sessions, parameters: fc.Parameters<unknown[]>): Promise<void> {
  const initial = fc.dictionary(fc.constantFrom(...KEYS), json(), { noNullPrototype: true });
  const property = fc.asyncProperty(initial, steps(), steps(), async (start, ...requests) => {
    const values: Values = Object.fromEntries(Object.entries(start).map(([key, text]) => [key, parseJson(text)]));
    const created = await sessions.create(values);
    const [left, right] = await Promise.all(requests.map((request) => run(sessions, created, request)));
    const final = await sessions.values(created);
    for (const key of KEYS) {
      const history = {
        initial: start[key],
        requests: [left!.get(key) ?? [], right!.get(key) ?? []],
        final: key in final ? JSON.stringify(final[key]) : undefined,
      } as const;
      assert(hasSerialOrder(history), `no serial order explains ${JSON.stringify({ key, ...history })}`);
    }
  });
  await fc.assert(property, parameters as object);
}

async function run(sessions: Sessions, ref: SessionRef, request: readonly Step[]): Promise<Log> {
  const log: Log = new Map();
  const note = (key: string, seen: Seen) => log.set(key, [...(log.get(key) ?? []), seen]);
  for (const { turns, deed } of request) {
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await perform(sessions, ref, deed, note);
  }
  return log;
}

async function perform(
  sessions: Sessions,
  ref: SessionRef,
  deed: Deed,
  note: (key: string, seen: Seen) => void,
): Promise<void> {
  switch (deed.kind) {
    case 'update': {
      const changes = [...deed.changes];
      const set = Object.fromEntries(changes.flatMap(([key, text]) => (text === undefined ? [] : [[key, text]])));
      const unset = changes.filter(([, text]) => text === undefined).map(([key]) => key);
      const outcome = await sessions.store.update(ref, { set, unset }, 0);
      assert.equal(outcome.status, 'applied');
      for (const [key, value] of changes) note(key, { kind: 'write', value });
      return;
    }
    case 'compareAndSet': {
      const { key, value } = deed;
      const read = await sessions.read(ref, key);
      note(key, { kind: 'read', value: normal(read.value) });
      const outcome = await sessions.store.apply(ref, { kind: 'compareAndSet', key, value, version: read.version });
      note(key, { kind: 'compareAndSet', isApplied: isApplied(outcome), value });
      return;
    }
    case 'operation': {
      const { operation } = deed;
      const outcome = await sessions.store.apply(ref, operation);
      const value = outcome.status === 'applied' ? normal(outcome.value) : undefined;
      note(operation.key, { kind: 'operation', operation, isApplied: isApplied(outcome), value });
    }
  }
}

function isApplied({ status }: { status: string }): boolean {
  assert(status === 'applied' || status === 'unfit', `answered ${status}`);
  return status === 'applied';
}

/** As JSON.stringify spells it: databases put spaces in. */
function normal(text: string | undefined): string | undefined {
  return text === undefined ? undefined : JSON.stringify(parseJson(text));
}

function steps(): fc.Arbitrary<Step[]> {
  return fc.array(fc.record({ turns: fc.nat({ max: 2 }), deed: deeds() }), { minLength: 1, maxLength: 5 });
}

function deeds(): fc.Arbitrary<Deed> {
  const key = fc.constantFrom(...KEYS);
  const maybe = fc.option(json(), { nil: undefined });
  const changes = fc.uniqueArray(fc.tuple(key, maybe), { minLength: 1, maxLength: 2, selector: ([name]) => name });
  const operation: fc.Arbitrary<AtomicOperation> = fc.oneof(
    fc.record({ kind: fc.constant('increment' as const), key, by: fc.integer({ min: -3, max: 3 }) }),
    fc.record({ kind: fc.constant('append' as const), key, items: fc.constantFrom('[1]', '["x",null]') }),
    fc.record({ kind: fc.constant('setIfAbsent' as const), key, value: json() }),
    fc.record({ kind: fc.constant('take' as const), key }),
  );
  return fc.oneof(
    fc.record({ kind: fc.constant('update' as const), changes: changes.map((entries) => new Map(entries)) }),
    fc.record({ kind: fc.constant('compareAndSet' as const), key, value: maybe }),
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('operation' as const), operation }) },
  );
}

/** Values of the types that matter: what can be counted, what can be appended to, and what neither fits. */
function json(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.integer({ min: 0, max: 99 }).map((value) => JSON.stringify(value)),
    fc.constantFrom('[]', '["y"]', '"text"', 'null'),
  );
}
