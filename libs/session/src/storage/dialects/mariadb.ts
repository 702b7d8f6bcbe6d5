import { SessionConfigError } from '../../core/errors.js';
import type { SessionDialect } from './dialect.js';
import { isAtLeast, mysqlFamilyDialect } from './mysql-family.js';

export const mariadbDialect: SessionDialect = mysqlFamilyDialect({
  type: 'mariadb',

  checkVersion(version) {
    if (!/mariadb/i.test(version)) {
      throw new SessionConfigError(
        `The data source says type: "mariadb", and the server is a MySQL (${version}). Set type: "mysql" in TypeOrmModule.forRoot().`,
      );
    }
    // The first with SKIP LOCKED.
    if (!isAtLeast(version, [10, 6, 0])) {
      throw new SessionConfigError(`Sessions need MariaDB 10.6 or newer, and the server is ${version}.`);
    }
  },

  // JSON is text here, and there is no CAST(… AS JSON): what a JSON function returns counts as JSON.
  value: (text) => `JSON_EXTRACT(${text}, '$')`,
  // As JSON.stringify() spells it, so that sizes are the same here and there.
  document: (json) => `JSON_COMPACT(${json})`,
  text: (json) => json,
  // A path with a key that begins with "-" is an error, and keys are compared as they are spelled.
  spell: (key) => JSON.stringify(key).replace(/^"-/, '"\\u002d'),
});
