import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connectPgSimple, connectTypeorm, SessionConfigError, type SessionModuleOptions } from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { startApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { DATABASES, type OpenDatabase } from '../support/databases.js';
import { NEW_SECRET, NEVER_OVER } from '../support/move-lab.js';
import { oldTable } from '../support/old-node.js';

const HOUR = 3_600_000;
const DEADLINE = 5_000;

for (const kind of DATABASES) {
  (kind.missing ? describe.skip : describe)(`connectTypeorm() in ${kind.name}`, () => {
    let opened: OpenDatabase;
    let dataSource: DataSource;
    let quote: (name: string) => string;
    let old: ReturnType<ReturnType<typeof connectTypeorm>['connect']>;

    beforeAll(async () => {
      opened = await kind.create();
      dataSource = await new DataSource(opened.typeorm as DataSourceOptions).initialize();
      quote = (name) => dataSource.driver.escape(name);
      const columns = `id varchar(255) PRIMARY KEY, json text NOT NULL, ${quote('expired at')} bigint NOT NULL, ${quote('destroyedAt')} timestamp NULL`;
      await dataSource.query(`CREATE TABLE ${quote('Old Session')} (${columns})`);
      const options = { tableName: 'Old Session', columns: { expiredAt: 'expired at' }, until: NEVER_OVER };
      old = connectTypeorm(options).connect(dataSource, DEADLINE);
    });
    beforeEach(() => dataSource.query(`DELETE FROM ${quote('Old Session')}`));
    afterAll(async () => {
      await old?.close();
      await dataSource?.destroy();
      await opened?.drop();
    });

    const insert = async (id: string, data: object | string, expiredAt: number) => {
      const text = typeof data === 'string' ? data : JSON.stringify(data);
      const literals = [id, text].map((value) => `'${value.replaceAll("'", "''")}'`);
      const names = ['id', 'json', quote('expired at')].join();
      await dataSource.query(
        `INSERT INTO ${quote('Old Session')} (${names}) VALUES (${literals.join()}, ${expiredAt})`,
      );
    };

    it('[move: old tables] reads what is there and has not expired, by its exact id', async () => {
      await old.check();
      await insert('Ab', { cart: ["it's", 'Größe'], cookie: { originalMaxAge: HOUR } }, Date.now() + HOUR);
      await insert('expired', {}, Date.now() - 1);
      await insert('broken', '{"a":', Date.now() + HOUR);
      await insert('a list', '[]', Date.now() + HOUR);
      const session = (await old.read('Ab'))!;
      expect(session.data).toEqual({ cart: ["it's", 'Größe'], cookie: { originalMaxAge: HOUR } });
      expect(Math.abs(session.remaining! - HOUR)).toBeLessThan(60_000);
      for (const id of ['ab', 'Ab ', 'none', 'expired', 'broken', 'a list', `' OR '1'='1`]) {
        expect([id, await old.read(id)]).toEqual([id, undefined]);
      }
    });

    it('[move: old tables] prolongs and never shortens, and ends what it removes for good', async () => {
      await insert('one', { a: 1 }, Date.now() + HOUR);
      await insert('two', { a: 2 }, Date.now() + HOUR);
      const left = async (id: string) => Math.round(((await old.read(id))?.remaining ?? 0) / HOUR);
      await old.touch!('one', 3 * HOUR);
      await old.touch!('one', 2 * HOUR);
      expect([await left('one'), await left('two')]).toEqual([3, 1]);
      await old.remove('one');
      await old.remove('one');
      await old.remove('none');
      await old.touch!('one', 9 * HOUR);
      expect([await old.read('one'), await left('two')]).toEqual([undefined, 1]);
      // The row stays as connect-typeorm leaves it: by it a late save knows.
      const rows = (await dataSource.query(`SELECT id FROM ${quote('Old Session')}`)) as object[];
      expect(rows).toHaveLength(2);
    });
  });
}

describe('the option migrateFrom', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    await database.query(await oldTable());
  });
  afterAll(() => database.drop());

  const bootErrorOf = async (session: SessionModuleOptions) => {
    try {
      const app = await startApp({ platform: 'express', databaseUrl: database.url, session });
      await app.close();
    } catch (error) {
      expect(error).toBeInstanceOf(SessionConfigError);
      return (error as Error).message;
    }
    return undefined;
  };
  const secrets = [NEW_SECRET];
  const until = NEVER_OVER;

  it('[move: options] stops the boot where it cannot work', async () => {
    const wrong: [SessionModuleOptions, RegExp][] = [
      [{ migrateFrom: connectPgSimple({ until }) }, /needs the option secrets/],
      [{ secrets, migrateFrom: connectPgSimple({ until: 'soon' }) }, /until is "soon"/],
      [{ secrets, migrateFrom: connectPgSimple({} as never) }, /until is undefined/],
      [{ secrets, migrateFrom: connectPgSimple({ until, secrets: [''] }) }, /migrateFrom.secrets must be/],
      [{ secrets, migrateFrom: connectPgSimple({ until, cookieName: 'a b' }) }, /the old cookie: cookie.name is "a b"/],
      [
        { secrets, cookie: { name: 'connect.sid' }, migrateFrom: connectPgSimple({ until }) },
        /name of the new cookie too/,
      ],
      [{ secrets, migrateFrom: connectPgSimple({ until, table: 'session' } as never) }, /no option "table"/],
      [{ secrets, migrateFrom: { until } as never }, /read and remove/],
      [{ secrets, migrateFrom: { until, read: async () => undefined } as never }, /read and remove/],
      [
        { secrets, migrateFrom: connectPgSimple({ until, tableName: 'none' }) },
        /table none of migrateFrom cannot be read/,
      ],
      [{ secrets, migrateFrom: connectTypeorm({ until }) }, /table session of migrateFrom cannot be read/],
    ];
    for (const [session, sentence] of wrong) expect(await bootErrorOf(session)).toMatch(sentence);
    expect(() => connectPgSimple({ until, tableName: 'a"; DROP TABLE session; --' })).toThrow(SessionConfigError);
    expect(await bootErrorOf({ secrets, migrateFrom: connectPgSimple({ until }) })).toBeUndefined();
    // What is over needs no table any more.
    const over = new Date(Date.now() - 1);
    expect(
      await bootErrorOf({ secrets, migrateFrom: connectPgSimple({ until: over, tableName: 'none' }) }),
    ).toBeUndefined();
  });
});
