import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { ExpressSessionStore, type ExpressSessionStoreOptions } from 'nestjs-typeorm-session/express-session';
import { DataSource } from 'typeorm';

const TEXT = readFileSync(new URL('../../docs/express-session-store.md', import.meta.url), 'utf8');

/** First cells of the table below a heading. */
function namesBelow(heading: string): string[] {
  const section = TEXT.split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!;
  return [...section.matchAll(/^\| `(\w+)` /gm)].map(([, name]) => name!);
}

describe('docs/express-session-store.md', () => {
  const dataSource = new DataSource({ type: 'postgres' });
  const make = (options: object) => () =>
    new ExpressSessionStore(dataSource, { cleanup: false, ...options } as ExpressSessionStoreOptions);

  it('[express: document] has every option that there is', () => {
    let refusal = '';
    try {
      make({ 'no such option': 1 })();
    } catch (error) {
      refusal = (error as Error).message;
    }
    const [, known] = /There are (.*)\.$/.exec(refusal)!;
    expect(namesBelow('Options')).toEqual(known!.split(', '));
  });

  it('[express: document] shows durations that the store takes', () => {
    const defaults = [...TEXT.matchAll(/^\| `(\w+)` +\| `'(\w+)'`/gm)].map(([, name, value]) => [name, value] as const);
    expect(defaults.map(([name]) => name)).toEqual(['idleTimeout', 'absoluteTimeout', 'deadline']);
    expect(make(Object.fromEntries(defaults))).not.toThrow();
  });

  it('[express: document] has the codes that are not in the README', () => {
    const source = readFileSync(
      new URL('../../libs/session/src/express-session/express-session.error.ts', import.meta.url),
      'utf8',
    );
    const own = [...source.matchAll(/^ {2}(SESSION_\w+):/gm)].map(([, code]) => code);
    expect(namesBelow('Errors')).toEqual(own);
  });
});
