import { SessionEntity } from 'nestjs-typeorm-session';
import { createDatabase } from '../support/database.js';
import { describeStoreOn } from './support/describe-store.js';

describeStoreOn({
  name: 'PostgreSQL',
  entity: SessionEntity,
  async create() {
    const { url, drop } = await createDatabase();
    return { typeorm: { type: 'postgres', url }, drop };
  },
});
