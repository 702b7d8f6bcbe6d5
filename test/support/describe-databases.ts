import { describe } from '@jest/globals';
import { PLATFORMS, type Platform } from './app.js';
import { DATABASES, type DatabaseKind } from './databases.js';

/**
 * Describes the same on each database and platform. Where a database is missing its tests are skipped, visibly: what was
 * skipped did not pass.
 */
export function describeDatabases(title: string, body: (database: DatabaseKind, platform: Platform) => void): void {
  for (const database of DATABASES) {
    if (database.missing) console.warn(`${database.name}: skipped, as there is ${database.missing}`);
    for (const platform of PLATFORMS) {
      const describeIt = database.missing ? describe.skip : describe;
      describeIt(`${title} in ${database.name} on ${platform}`, () => body(database, platform));
    }
  }
}
