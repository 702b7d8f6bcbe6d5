import { SessionConfigError } from '../../core/errors.js';
import type { SessionDialect } from './dialect.js';
import { isAtLeast, mysqlFamilyDialect } from './mysql-family.js';

export const mysqlDialect: SessionDialect = mysqlFamilyDialect({
  type: 'mysql',

  checkVersion(version) {
    if (/mariadb/i.test(version)) {
      throw new SessionConfigError(
        `The data source says type: "mysql", and the server is a MariaDB (${version}). Set type: "mariadb" in TypeOrmModule.forRoot(): ` +
          'with "mysql", TypeORM drops the column of the session data when it synchronizes, and in migrations that it generates.',
      );
    }
    // Servers that say 8.0.11 are other products, or the very first release with SKIP LOCKED.
    if (!isAtLeast(version, [8, 0, 16])) {
      throw new SessionConfigError(`Sessions need MySQL 8.0.16 or newer, and the server is ${version}.`);
    }
  },

  value: (text) => `CAST(${text} AS JSON)`,
  document: (json) => json,
  // The character set of the connection, which is what CHAR alone would take, may lack letters.
  text: (json) => `CAST(${json} AS CHAR CHARACTER SET utf8mb4)`,
  spell: (key) => JSON.stringify(key),
});
