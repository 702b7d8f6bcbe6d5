import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { startApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';
import { LabController, Nodes } from '../support/lab.js';

describe('[answer: self-check] at boot', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createDatabase();
    await database.query('CREATE ROLE clerk LOGIN PASSWORD $$clerk$$').catch(() => undefined);
  });

  beforeEach(async () => {
    await database.query('DROP TABLE IF EXISTS sessions, migrations CASCADE');
    await migrate(database.url);
  });

  afterAll(() => database.drop());

  const rows = () => database.query('SELECT id FROM sessions');

  /** The sentence that an application ends with, or '' where it starts. */
  async function boot(url = database.url): Promise<string> {
    try {
      const app = await startApp({ platform: 'fastify', databaseUrl: url });
      await app.close();
      return '';
    } catch (error) {
      return (error as Error).message;
    } finally {
      expect(await rows()).toEqual([]);
    }
  }

  it('leaves nothing behind', async () => {
    expect(await boot()).toBe('');
  });

  const SPOILT: [what: string, sql: string, sentence: RegExp][] = [
    [
      'a trigger that changes the data',
      `CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.data = NEW.data - 'text'; RETURN NEW; END $$;
       CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION spoil()`,
      /does not give back what is put in: the data came back differently/,
    ],
    [
      'a trigger that changes updates alone',
      `CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.data = OLD.data; RETURN NEW; END $$;
       CREATE TRIGGER spoil BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION spoil()`,
      /the changed data came back differently/,
    ],
    [
      'a rule that keeps the row',
      'CREATE RULE keep AS ON DELETE TO sessions DO INSTEAD NOTHING',
      /a deletion came back differently/,
    ],
    [
      'a trigger that moves the absolute end',
      `CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.absolute_expires_at = NEW.absolute_expires_at + interval '1 hour'; RETURN NEW; END $$;
       CREATE TRIGGER spoil BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION spoil()`,
      /the times came back differently/,
    ],
    ['json for jsonb', 'ALTER TABLE sessions ALTER data TYPE json', /\(42\w{3}\).*refuses what sessions do/],
    ['a missing column', 'ALTER TABLE sessions DROP COLUMN last_write', /lacks a column/],
    ['a constraint too many', 'ALTER TABLE sessions ADD CHECK (version = 1)', /\(23514\).*refuses/],
  ];

  it.each(SPOILT)('finds %s', async (_what, sql, sentence) => {
    await database.query(sql);
    expect(await boot()).toMatch(sentence);
  });

  describe('by a role of the database', () => {
    const clerkUrl = () => {
      const url = new URL(database.url);
      url.username = 'clerk';
      url.password = 'clerk';
      return url.href;
    };

    it.each(['SELECT', 'INSERT', 'UPDATE', 'DELETE'])('misses the privilege %s', async (missing) => {
      const others = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'].filter((privilege) => privilege !== missing);
      await database.query(`GRANT ${others.join(', ')} ON sessions TO clerk`);
      expect(await boot(clerkUrl())).toMatch(/may not read and write .* Grant it SELECT, INSERT, UPDATE and DELETE/);
    });

    it('needs no more than those four', async () => {
      await database.query('GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO clerk');
      const nodes = new Nodes();
      nodes.nodes = [await startApp({ platform: 'fastify', databaseUrl: clerkUrl(), controllers: [LabController] })];
      const client = await nodes.visitor({ a: 1 });
      await nodes.value(client, async (session) => {
        await session.increment('n');
        await session.login('u', { keep: ['n'] });
      });
      expect(await nodes.data(client)).toEqual({ n: 1 });
      await nodes.value(client, (session) => session.destroy());
      await nodes.nodes[0]!.close();
      expect(await rows()).toEqual([]);
    });
  });

  it('does not depend on the type parsers of the process', async () => {
    const types = [16, 17, 20, 23, 25, 701, 1043, 1184, 1700, 2950, 3802];
    const parsers = types.map((type) => [type, pg.types.getTypeParser(type)] as const);
    for (const type of types) pg.types.setTypeParser(type, () => 'spoilt');
    try {
      expect(await boot()).toBe('');
    } finally {
      for (const [type, parser] of parsers) pg.types.setTypeParser(type, parser as (text: string) => unknown);
    }
  });
});
