import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse, type Sessions, type Values } from '../sessions.js';
import { jsonValues, keys, MAX_DEPTH } from './json-values.js';

/** What a session writes comes back as the same JSON value, whichever way it went in and out. */
export async function valuesRoundTrip(sessions: Sessions, parameters: fc.Parameters<unknown[]>): Promise<void> {
  const data = fc.dictionary(keys(), jsonValues(), { maxKeys: 4, noNullPrototype: true });
  // The list around them is a level of its own.
  const lists = fc.array(jsonValues(MAX_DEPTH - 1), { maxLength: 3 });
  const property = fc.asyncProperty(data, jsonValues(), lists, async (...given) => {
    const [values, value, items] = given;
    fc.pre(Buffer.byteLength(JSON.stringify(given)) < sessions.limits.maxBytes / 8);
    const created = await sessions.create(values);
    const expected = asJson(sessions, values);
    assert.deepEqual(await sessions.values(created), expected, 'create');

    await sessions.update(created, values);
    assert.deepEqual(await sessions.values(created), expected, 'update');
    for (const key of Object.keys(values)) {
      assert.deepEqual(await sessions.value(created, key), expected[key], `read ${key}`);
    }

    const [key, list] = ['- value -', '- list -'];
    const text = sessions.text(value);
    const json = parse(text);
    assert.deepEqual(await sessions.applied(created, { kind: 'setIfAbsent', key, value: text }), json, 'setIfAbsent');
    const append = { kind: 'append', key: list, items: sessions.text(items) } as const;
    assert.deepEqual(await sessions.applied(created, append), parse(append.items), 'append');
    const all = { ...expected, [key]: json, [list]: parse(append.items) };
    assert.deepEqual(await sessions.values(created), all, 'setIfAbsent and append');

    const { version } = await sessions.read(created, list);
    const compareAndSet = { kind: 'compareAndSet', key: list, value: text, version } as const;
    assert.deepEqual(await sessions.applied(created, compareAndSet), json, 'compareAndSet');
    assert.deepEqual(await sessions.applied(created, { kind: 'take', key }), json, 'take');
    assert.deepEqual(await sessions.values(created), { ...expected, [list]: json }, 'compareAndSet and take');
  });
  await fc.assert(property, parameters as object);
}

/** As the profile writes it: `-0` is `0` there. */
function asJson(sessions: Sessions, values: Values): Values {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, parse(sessions.text(value))]));
}
