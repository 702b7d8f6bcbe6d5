-- The session table on PostgreSQL: what the migration CreateSessions1764000000000 makes, for those who run SQL by hand.

CREATE TABLE "sessions" (
  "id" uuid NOT NULL,
  "token_hash" bytea NOT NULL,
  "data" jsonb NOT NULL,
  "user_id" varchar(255),
  "version" integer NOT NULL,
  "created_at" timestamptz NOT NULL,
  "touched_at" timestamptz NOT NULL,
  "expires_at" timestamptz NOT NULL,
  "absolute_expires_at" timestamptz NOT NULL,
  "idle_timeout" bigint NOT NULL,
  "persistent" boolean NOT NULL,
  "previous_token_hash" bytea,
  "previous_token_until" timestamptz,
  "last_write" uuid NOT NULL,
  -- The names are TypeORM's, so that `migration:generate` finds no change.
  CONSTRAINT "PK_3238ef96f18b355b671619111bc" PRIMARY KEY ("id")
) WITH (
  -- Room in each page for the next version of a row: docs/decisions/009-index-and-fill-factor.md.
  fillfactor = 85
);

CREATE UNIQUE INDEX "IDX_abaa9e068cdd390bc5210f7988" ON "sessions" ("token_hash");
CREATE INDEX "IDX_085d540d9f418cfbdc7bd55bb1" ON "sessions" ("user_id");
CREATE INDEX "IDX_9cfe37d28c3b229a350e086d94" ON "sessions" ("expires_at");
CREATE INDEX "IDX_08834ccd8bb22353cd412266a1" ON "sessions" ("previous_token_hash");

-- All that the application's user needs.
GRANT SELECT, INSERT, UPDATE, DELETE ON "sessions" TO "app";
