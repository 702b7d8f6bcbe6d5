-- The session table on SQLite 3.47 and newer: what the migration CreateSessions1764000000000 makes, for those who run SQL
-- by hand. Times are milliseconds since 1970 in UTC: datetime("expires_at" / 1000, 'unixepoch') shows them. The names of
-- the indices are TypeORM's, so that `migration:generate` finds no change.

CREATE TABLE "sessions" (
  "id" varchar(36) PRIMARY KEY NOT NULL,
  "token_hash" blob NOT NULL,
  "data" text NOT NULL,
  "user_id" varchar(255),
  "version" integer NOT NULL,
  "created_at" integer NOT NULL,
  "touched_at" integer NOT NULL,
  "expires_at" integer NOT NULL,
  "absolute_expires_at" integer NOT NULL,
  "idle_timeout" integer NOT NULL,
  "persistent" boolean NOT NULL,
  "previous_token_hash" blob,
  "previous_token_until" integer,
  "last_write" varchar(36) NOT NULL
);

CREATE UNIQUE INDEX "IDX_abaa9e068cdd390bc5210f7988" ON "sessions" ("token_hash");
CREATE INDEX "IDX_085d540d9f418cfbdc7bd55bb1" ON "sessions" ("user_id");
CREATE INDEX "IDX_9cfe37d28c3b229a350e086d94" ON "sessions" ("expires_at");
CREATE INDEX "IDX_08834ccd8bb22353cd412266a1" ON "sessions" ("previous_token_hash");
