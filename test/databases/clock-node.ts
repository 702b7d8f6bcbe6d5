import 'reflect-metadata';
import { randomBytes, randomUUID } from 'node:crypto';
import { MysqlSessionEntity, SessionEntity, SqliteSessionEntity } from 'nestjs-typeorm-session';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { createStore } from '../../libs/session/src/storage/create-store.js';

/** A process of its own, with a clock and a time zone of its own: does what its parent asks. */

interface Asked {
  readonly operation: keyof typeof OPERATIONS;
  readonly id: string;
  readonly tokenHash: string;
  readonly idleTimeout: number;
}

const HOUR = 3_600_000;
const { driver, entity: entityName, timeZone, ...options } = JSON.parse(process.argv[2]!) as Record<string, string>;
const entity = { SessionEntity, MysqlSessionEntity, SqliteSessionEntity }[entityName!]!;
const module = driver && ((await import(`${driver}/lib/index.js`)) as { default: unknown }).default;
const dataSource = new DataSource({ ...options, entities: [entity], driver: module } as object as DataSourceOptions);
await dataSource.initialize();
if (timeZone) {
  const { pool } = dataSource.driver as unknown as {
    pool: { on(event: string, listener: (client: Client) => void): void };
  };
  pool.on('connection', (client) => client.query(`SET time_zone = '${timeZone}'`));
  // The one that there is already.
  await dataSource.query(`SET time_zone = '${timeZone}'`);
}
interface Client {
  query(sql: string): void;
}
const store = createStore(dataSource, entity, { deadline: 15_000, maxBytes: 65_536 }, () => undefined);

const OPERATIONS = {
  now: async () => Date.now(),
  zone: async () => new Date(0).getTimezoneOffset(),
  async databaseZone() {
    const sql = { postgres: 'SHOW TimeZone', mariadb: 'SELECT @@time_zone', mysql: 'SELECT @@time_zone' }[
      options.type!
    ];
    return JSON.stringify(await dataSource.query(sql!));
  },
  async create({ idleTimeout }: Asked) {
    const ref = { id: randomUUID(), tokenHash: randomBytes(32) };
    const lifetime = { idleTimeout, absoluteTimeout: 10 * HOUR, persistent: true };
    const { expiresAt } = await store.create({ ...ref, ...lifetime, userId: undefined, data: {} });
    return { id: ref.id, tokenHash: ref.tokenHash.toString('hex'), expiresAt };
  },
  async find({ tokenHash }: Asked) {
    const [found] = await store.find([Buffer.from(tokenHash, 'hex')]);
    if (found?.status !== 'live') return { status: found?.status ?? 'gone' };
    const { expiresAt, absoluteRemaining, sinceTouched } = found.session;
    return { status: 'live', expiresAt, absoluteRemaining, sinceTouched };
  },
  touch: ({ id, tokenHash }: Asked) => store.touch({ id, tokenHash: Buffer.from(tokenHash, 'hex') }, 0),
  deleteExpired: () => store.deleteExpired(100),
  /** What the application reads, through the entity. */
  async times({ id }: Asked) {
    const row = await dataSource.getRepository(entity).findOneByOrFail({ id });
    return [row.createdAt, row.touchedAt, row.expiresAt, row.absoluteExpiresAt].map((date) => date.getTime());
  },
} satisfies Record<string, (asked: Asked) => Promise<unknown>>;

process.on('message', (asked: Asked) => {
  OPERATIONS[asked.operation](asked).then(
    (answer) => process.send!({ answer }),
    (error: unknown) => process.send!({ error: String(error) }),
  );
});
process.once('disconnect', () => process.exit());
process.send!({ answer: 'ready' });
