import * as library from '../../../libs/session/dist/esm/index.js';

/** The library as it is built, with its defaults. */
export const sessions = ({ entity }) => ({
  Session: library.Session,
  imports: [library.SessionModule.forRoot({ guardAll: true, cleanup: false, entity: library[entity] })],
  providers: [],
});
