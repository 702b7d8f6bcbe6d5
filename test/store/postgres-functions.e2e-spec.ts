import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  PostgresSessionColumns,
  SessionEntity,
  SqliteSessionEntity,
  type SessionColumns,
  type SessionRef,
  type SessionStore,
} from 'nestjs-typeorm-session';
import { Column, DataSource, DefaultNamingStrategy, Entity, type DataSourceOptions, type EntityTarget } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeStoreOn } from './support/describe-store.js';

describeStoreOn({
  name: 'PostgreSQL with functions',
  entity: SessionEntity,
  functions: true,
  async create() {
    const { url, drop } = await createDatabase();
    return { typeorm: { type: 'postgres', url }, drop };
  },
});

const LIMITS = { deadline: 5_000, maxBytes: 65_536 };
const LIFETIME = { idleTimeout: 60_000, absoluteTimeout: 600_000, persistent: true };
const MIGRATIONS = [CreateSessions1764000000000, CreateSessionFunctions1764300000000];
const VERBS = ['create', 'create_many', 'find', 'find_many', 'update', 'update_many'];
type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;
type StartOptions = { entity?: EntityTarget<SessionColumns>; preparedStatements?: boolean };
const IS_OURS = "proname ~ '^session_.*_[0-9a-f]{12}$'";
const NAME = 'with functions';
const CONNECTED = { applicationName: NAME, connectTimeoutMS: 2_000 };

@Entity({ name: 'visits', schema: 'web' })
class Visit extends PostgresSessionColumns {
  @Column({ type: 'text', nullable: true })
  note?: string;
}

/** Column names that SQL has to quote. */
class Shouting extends DefaultNamingStrategy {
  override columnName(propertyName: string): string {
    return `${propertyName.toUpperCase()} of it`;
  }
}

describe('[functions] statements that the database keeps as functions', () => {
  let database: TestDatabase;
  const opened: DataSource[] = [];

  beforeEach(async () => {
    database = await createDatabase();
    await database.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET track_functions = 'pl'`);
    await (await open({ migrations: MIGRATIONS, migrationsRun: true })).destroy();
  });
  afterEach(async () => {
    for (const dataSource of opened.splice(0)) if (dataSource.isInitialized) await dataSource.destroy();
    await database.drop();
  });

  async function open(options: Partial<PostgresOptions> = {}): Promise<DataSource> {
    const given = { type: 'postgres', url: database.url, entities: [SessionEntity], ...CONNECTED };
    const dataSource = await new DataSource({ ...given, ...options } as PostgresOptions).initialize();
    opened.push(dataSource);
    return dataSource;
  }

  /** A store as it is when an application has started. */
  async function start(dataSource: DataSource, { entity = SessionEntity, ...more }: StartOptions = {}) {
    const warnings: string[] = [];
    const store = createStore(dataSource, entity, { ...LIMITS, ...more }, (sentence) => void warnings.push(sentence));
    await store.check();
    return { store, warnings };
  }

  /** Of each function whether it was called. The processes of the server tell when they end. */
  async function called(dataSource: DataSource): Promise<string[]> {
    await dataSource.destroy();
    const others = 'SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()';
    while ((await database.query(others, [NAME])).length > 0) await delay(10);
    const sql = 'SELECT funcname FROM pg_stat_user_functions WHERE calls > 0 ORDER BY 1';
    return (await database.query<{ funcname: string }>(sql)).map(({ funcname }) => verbOf(funcname));
  }

  /** What the database has, as `session_find_0123456789ab(bytea)`. */
  async function functions(): Promise<string[]> {
    const sql = `SELECT oid::regprocedure::text AS signature FROM pg_proc WHERE ${IS_OURS} ORDER BY 1`;
    return (await database.query<{ signature: string }>(sql)).map(({ signature }) => signature);
  }

  const verbOf = (name: string) => /session_([a-z_]+)_[0-9a-f]{12}/.exec(name)?.[1] ?? name;

  async function begin(store: SessionStore): Promise<SessionRef> {
    const ref = { id: randomUUID(), tokenHash: randomBytes(32) };
    await store.create({ ...ref, ...LIFETIME, userId: 'ü 1', data: { a: '1' } });
    return ref;
  }

  /** What visits do, by themselves and with others. */
  async function useAll(store: SessionStore): Promise<void> {
    const first = await begin(store);
    const refs = [first, ...(await Promise.all([1, 2, 3].map(() => begin(store))))];
    const set = (ref: SessionRef, key: string) => store.update(ref, { set: { [key]: '2' }, unset: [] }, Infinity);
    await set(first, 'b');
    await Promise.all(refs.map((ref) => set(ref, 'c')));
    const found = await store.find([first.tokenHash]);
    expect(found).toMatchObject([{ status: 'live', session: { userId: 'ü 1', data: '{"a": 1, "b": 2, "c": 2}' } }]);
    const all = await Promise.all(refs.map(({ tokenHash }) => store.find([tokenHash])));
    expect(all.flat()).toMatchObject(refs.map(({ id }) => ({ status: 'live', session: { id } })));
  }

  it('are called for what nearly all requests send, and nothing is prepared', async () => {
    const dataSource = await open({ poolSize: 1 });
    const { store, warnings } = await start(dataSource);
    await useAll(store);
    expect(await dataSource.query('SELECT name FROM pg_prepared_statements')).toEqual([]);
    expect(warnings).toEqual([]);
    expect(await called(dataSource)).toEqual(VERBS);
  });

  it('are called in a transaction of the application, too', async () => {
    const dataSource = await open();
    const { store } = await start(dataSource);
    const ref = await dataSource.transaction(async (manager) => {
      const joined = store.join!(manager).store;
      const begun = await begin(joined);
      await joined.update(begun, { set: { b: '2' }, unset: [] }, Infinity);
      return begun;
    });
    expect(await store.find([ref.tokenHash])).toMatchObject([{ session: { data: '{"a": 1, "b": 2}' } }]);
    expect(await called(dataSource)).toEqual(['create', 'find', 'update']);
  });

  it('are not needed: where they are not there, all goes as it is', async () => {
    const dataSource = await open({ migrations: MIGRATIONS });
    await dataSource.undoLastMigration();
    expect(await functions()).toEqual([]);
    const { store, warnings } = await start(dataSource);
    await useAll(store);
    expect(warnings).toEqual([]);
  });

  it('are not called where statements are prepared', async () => {
    const dataSource = await open();
    const { store } = await start(dataSource, { preparedStatements: true });
    await useAll(store);
    expect(await called(dataSource)).toEqual([]);
  });

  it('are told of at the start where some are of another version', async () => {
    const [find, ...others] = (await functions()).filter((signature) => /_find_|_many_/.test(signature));
    await database.query(`DROP FUNCTION ${find}`);
    const dataSource = await open();
    const { store, warnings } = await start(dataSource);
    await useAll(store);
    expect(warnings).toEqual([
      'Of the 6 functions that this version has for its session statements, 5 are in the database and may be called. ' +
        'The other statements are planned each time. ' +
        'Run the migration CreateSessionFunctions of this version, and grant EXECUTE on what it makes.',
    ]);
    expect(await called(dataSource)).toEqual(expect.arrayContaining(others.map(verbOf)));
  });

  it('may be dropped while the application runs, and fail no request', async () => {
    const dataSource = await open();
    const { store, warnings } = await start(dataSource);
    await useAll(store);
    for (const signature of await functions()) await database.query(`DROP FUNCTION ${signature}`);
    await useAll(store);
    expect(warnings).toEqual([
      'A function for session statements cannot be called any more (42883), so all statements go as they are ' +
        'until the application starts again. ' +
        'Run the migration CreateSessionFunctions of this version, and grant EXECUTE on what it makes.',
    ]);
  });

  it('may be dropped in mid-transaction of the application, which can be done again', async () => {
    const dataSource = await open();
    const { store } = await start(dataSource);
    const work = () =>
      dataSource.transaction(async (manager) => {
        const joined = store.join!(manager).store;
        return joined.find([(await begin(joined)).tokenHash]);
      });
    for (const signature of await functions()) await database.query(`DROP FUNCTION ${signature}`);
    await expect(work()).rejects.toMatchObject({ name: 'SessionStoreError', failure: 'unavailable' });
    expect(await work()).toMatchObject([{ status: 'live' }]);
  });

  it('answer in other types once a column has changed, and the statements go as they are', async () => {
    const dataSource = await open();
    const { store } = await start(dataSource);
    const ref = await begin(store);
    // The data of a function that says jsonb.
    await database.query('ALTER TABLE sessions ALTER COLUMN data TYPE json');
    expect(await store.find([ref.tokenHash])).toMatchObject([{ status: 'live', session: { id: ref.id } }]);
  });

  it('are called by those alone who may', async () => {
    const user = `app_${randomUUID().slice(0, 8)}`;
    await database.query(`CREATE ROLE ${user} LOGIN PASSWORD 'secret'`);
    await database.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO ${user}`);
    const url = new URL(database.url);
    [url.username, url.password] = [user, 'secret'];
    try {
      const allowed = await open({ url: url.href });
      const { store } = await start(allowed);
      await useAll(store);
      // As where EXECUTE is not for everybody: while it runs, and when it starts.
      await database.query('REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC');
      await useAll(store);
      expect(await called(allowed)).toEqual(VERBS);
      await database.query('SELECT pg_stat_reset()');
      const forbidden = await open({ url: url.href });
      await useAll((await start(forbidden)).store);
      expect(await called(forbidden)).toEqual([]);
    } finally {
      for (const dataSource of opened.splice(0)) if (dataSource.isInitialized) await dataSource.destroy();
      await database.query(`DROP OWNED BY ${user}; DROP ROLE ${user}`);
    }
  });

  it('are made for the names of an entity of one’s own, in the schema of its table', async () => {
    await database.query('CREATE SCHEMA web');
    const dataSource = await open({
      entities: [Visit],
      namingStrategy: new Shouting(),
      migrations: [CreateSessionFunctions1764300000000],
    });
    await dataSource.synchronize();
    await database.query('DELETE FROM migrations');
    await dataSource.runMigrations();
    expect((await functions()).filter((signature) => signature.startsWith('web.')).map(verbOf)).toEqual(VERBS);
    const { store, warnings } = await start(dataSource, { entity: Visit });
    await useAll(store);
    expect(warnings).toEqual([]);
    expect(await called(dataSource)).toEqual(VERBS);
  });

  it('are made and removed by one migration, which does so again after the tables were dropped', async () => {
    const dataSource = await open({ migrations: MIGRATIONS });
    expect((await functions()).map(verbOf)).toEqual(VERBS);
    // It removes tables, and not functions.
    await dataSource.dropDatabase();
    await dataSource.runMigrations();
    await useAll((await start(dataSource)).store);
    await dataSource.undoLastMigration();
    expect(await functions()).toEqual([]);
  });

  it('are those of docs/sql/postgres-functions.sql', async () => {
    const made = await definitions();
    for (const signature of await functions()) await database.query(`DROP FUNCTION ${signature}`);
    await database.query(readFileSync('docs/sql/postgres-functions.sql', 'utf8'));
    // Where a statement has changed: a migration of another name makes its function, and the file has it too.
    expect(await definitions()).toEqual(made);
  });

  it('need to know the session entity', async () => {
    const dataSource = await open({ entities: [], migrations: [CreateSessionFunctions1764300000000] });
    await database.query('DELETE FROM migrations');
    await expect(dataSource.runMigrations()).rejects.toThrow(
      'The functions of sessions are made for the table of a session entity, and the data source has none. ' +
        'List the one that the application uses in its `entities`, such as SessionEntity.',
    );
  });

  it('are for PostgreSQL, and the migration does nothing elsewhere', async () => {
    const sqlite = await new DataSource({
      type: 'sqljs',
      entities: [SqliteSessionEntity],
      migrations: MIGRATIONS,
      migrationsRun: true,
    }).initialize();
    await sqlite.undoLastMigration();
    await start(sqlite, { entity: SqliteSessionEntity });
    await sqlite.destroy();
  });

  async function definitions(): Promise<string[]> {
    const sql = `SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE ${IS_OURS} ORDER BY proname`;
    return (await database.query<{ text: string }>(sql)).map(({ text }) => text);
  }
});
