import { MysqlSessionEntity } from 'nestjs-typeorm-session';
import { createMysqlDatabase, describeOn, MYSQL_TYPES } from '../support/mariadb-database.js';
import { describeStoreOn } from './support/describe-store.js';

const NAMES = { mariadb: 'MariaDB', mysql: 'MySQL' };

for (const type of MYSQL_TYPES) {
  describeOn(type)(`[${type}]`, () => {
    describeStoreOn({
      name: NAMES[type],
      entity: MysqlSessionEntity,
      create: () => createMysqlDatabase(type),
    });
  });
}
