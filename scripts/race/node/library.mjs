import {
  MysqlSessionEntity,
  Session,
  SessionEntity,
  SessionModule,
  SqliteSessionEntity,
} from '../../../libs/session/dist/esm/index.js';

const entities = { SessionEntity, MysqlSessionEntity, SqliteSessionEntity };

/** The library as it is built, with its defaults. */
export const sessions = ({ entity }) => ({
  Session,
  imports: [SessionModule.forRoot({ guardAll: true, cleanup: false, entity: entities[entity] })],
  providers: [],
});
