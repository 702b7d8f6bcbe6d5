// What no answer can show, the database notes itself: a row that is deleted before its expiry, and an update after which
// the version is not one more. A touch changes no version, and nothing but when it was and what it moved.
const KEPT_BY_TOUCH = [
  'version',
  'data',
  'token_hash',
  'user_id',
  'absolute_expires_at',
  'idle_timeout',
  'persistent',
  'last_write',
];

/** True where the version jumped, or stayed although something was written. */
const isJump = (isSame) =>
  `NEW.version <> OLD.version + 1 AND NOT (${KEPT_BY_TOUCH.map((column) => isSame(`NEW.${column}`, `OLD.${column}`)).join(' AND ')})`;

const jump = (owner, text) => `INSERT INTO session_audit (what, owner, detail) VALUES ('version', ${owner}, ${text})`;
const deletion = (owner, text) =>
  `INSERT INTO session_audit (what, owner, detail) VALUES ('deleted', ${owner}, ${text})`;

/** Statements for each family, and what is told of a row. @type {Record<string, string[]>} */
export const auditTriggers = {
  postgres: [
    'CREATE TABLE session_audit (what text, owner text, detail text)',
    `CREATE FUNCTION note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       ${deletion("OLD.data ->> 'owner'", 'OLD.expires_at - clock_timestamp()')}; RETURN NULL; END $$`,
    `CREATE FUNCTION note_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       ${jump("OLD.data ->> 'owner'", "OLD.version || ' to ' || NEW.version")}; RETURN NULL; END $$`,
    `CREATE TRIGGER note_deletion AFTER DELETE ON sessions FOR EACH ROW
       WHEN (OLD.expires_at > clock_timestamp()) EXECUTE FUNCTION note_deletion()`,
    `CREATE TRIGGER note_version AFTER UPDATE ON sessions FOR EACH ROW
       WHEN (${isJump((now, before) => `${now} IS NOT DISTINCT FROM ${before}`)}) EXECUTE FUNCTION note_version()`,
  ],
  mariadb: [
    // Without a primary key, no table of Galera.
    'CREATE TABLE sessions.session_audit (id bigint AUTO_INCREMENT PRIMARY KEY, what text, owner text, detail text)',
    // Not NOW(), which stands still while a statement waits.
    `CREATE TRIGGER sessions.note_deletion AFTER DELETE ON sessions.sessions FOR EACH ROW
       IF OLD.expires_at > CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED) THEN
         ${deletion("JSON_VALUE(OLD.data, '$.owner')", 'OLD.expires_at')}; END IF`,
  ],
  sqlite: [
    'CREATE TABLE session_audit (what text, owner text, detail text)',
    `CREATE TRIGGER note_deletion AFTER DELETE ON sessions
       WHEN OLD.expires_at > CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
       BEGIN ${deletion("OLD.data ->> 'owner'", 'OLD.expires_at')}; END`,
    `CREATE TRIGGER note_version AFTER UPDATE ON sessions WHEN ${isJump((now, before) => `${now} IS ${before}`)}
       BEGIN ${jump("OLD.data ->> 'owner'", "OLD.version || ' to ' || NEW.version")}; END`,
  ],
};

/** A trigger on updates would change LAST_INSERT_ID(), by which the library learns the expiry: it refuses to start with one. */
export const seesVersions = (family) => family !== 'mariadb';
