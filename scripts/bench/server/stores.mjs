// The stores of the rivals, set up as their READMEs do it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { peer, peersFolder } from '../peers.mjs';
import { POOL_SIZE } from '../variants.mjs';

const stores = { 'connect-pg-simple': pgSimple, 'connect-typeorm': typeorm, 'connect-redis': redis };

export const openStore = (name, url, options) => stores[name](url, options);

async function pgSimple(url, options) {
  const pool = new (peer('pg').Pool)({ connectionString: url, max: POOL_SIZE });
  await pool.query(readFileSync(join(peersFolder, 'node_modules/connect-pg-simple/table.sql'), 'utf8'));
  const Store = peer('connect-pg-simple')(peer('express-session'));
  return new Store({ pool, ...options });
}

async function typeorm(url, options) {
  const { DataSource, EntitySchema } = peer('typeorm');
  const Session = new EntitySchema({
    name: 'session',
    columns: {
      expiredAt: { type: 'bigint' },
      id: { type: 'varchar', length: 255, primary: true },
      json: { type: 'text' },
      destroyedAt: { type: 'timestamp', deleteDate: true, nullable: true },
    },
    indices: [{ columns: ['expiredAt'] }],
  });
  const dataSource = new DataSource({
    type: 'postgres',
    url,
    entities: [Session],
    synchronize: true,
    poolSize: POOL_SIZE,
  });
  await dataSource.initialize();
  const { TypeormStore } = peer('connect-typeorm');
  return new TypeormStore(options).connect(dataSource.getRepository(Session));
}

async function redis(url, options) {
  const client = peer('redis').createClient({ url });
  await client.connect();
  const { RedisStore } = peer('connect-redis');
  return new RedisStore({ client, ...options });
}
