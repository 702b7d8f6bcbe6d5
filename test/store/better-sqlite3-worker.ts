import 'reflect-metadata';
import { SqliteSessionEntity } from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';

/** A process of its own: increments a session's counter so many times. */
const [file, driver, id, tokenHash, times] = process.argv.slice(2) as [string, string, string, string, string];
const options = { type: 'better-sqlite3', database: file, entities: [SqliteSessionEntity] };
const { default: module } = (await import(`${driver}/lib/index.js`)) as { default: unknown };
const dataSource = new DataSource({ ...options, driver: module } as object as DataSourceOptions);
await dataSource.initialize();
const store = createStore(dataSource, SqliteSessionEntity, { deadline: 15_000, maxBytes: 65_536 }, () => undefined);
const ref = { id, tokenHash: Buffer.from(tokenHash, 'hex') };
for (let time = 0; time < Number(times); time += 10) {
  const increment = () => store.apply(ref, { kind: 'increment', key: 'n', by: 1 });
  const outcomes = await Promise.all(Array.from({ length: 10 }, increment));
  if (outcomes.some(({ status }) => status !== 'applied')) throw new Error('an increment did not apply');
}
await store.close!();
await dataSource.destroy();
