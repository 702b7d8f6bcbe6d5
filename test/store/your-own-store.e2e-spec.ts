import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { describeSessionStore } from 'nestjs-typeorm-session/testing';
import { EntrySessionStore, type Entries } from './support/entry-session.store.js';

/** Entries in memory that answer later, as over a network: between a look and a write others have their turn. */
function openEntries(): Entries {
  const entries = new Map<string, { text: string; revision: number }>();
  let revision = 0;
  return {
    now: () => Promise.resolve(Date.now()),
    async get(name) {
      await turn();
      return entries.get(name);
    },
    async put(name, text, expected) {
      await turn();
      if (entries.get(name)?.revision !== expected) return false;
      entries.set(name, { text, revision: ++revision });
      return true;
    },
    async delete(name, expected) {
      await turn();
      return entries.get(name)?.revision === expected && entries.delete(name);
    },
    names: (prefix) => Promise.resolve([...entries.keys()].filter((name) => name.startsWith(prefix))),
  };
}

describeSessionStore('the store of docs/your-own-store.md', async () => ({
  store: new EntrySessionStore(openEntries()),
}));

describe('docs/your-own-store.md', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

  it('shows the store that is tested here', () => {
    const source = read('./support/entry-session.store.ts');
    expect(read('../../docs/your-own-store.md')).toContain('```ts\n' + source + '```\n');
  });
});
