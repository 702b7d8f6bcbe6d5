-- Copies the live sessions of connect-pg-simple ("session") for ExpressSessionStore ("sessions"). On PostgreSQL; may be run
-- again: what is there stays. Both have to be read in the time zone that the application's connections have.
INSERT INTO "sessions" ("id", "token_hash", "data", "version", "created_at", "touched_at", "expires_at",
  "absolute_expires_at", "idle_timeout", "persistent", "last_write")
SELECT gen_random_uuid(), sha256(convert_to("sid", 'UTF8')), "sess"::jsonb #- '{cookie,expires}', 1, now(), now(),
  "expire"::timestamptz, now() + interval '400 days',
  coalesce(("sess" #>> '{cookie,originalMaxAge}')::numeric, 86400000)::bigint,
  "sess" #>> '{cookie,originalMaxAge}' IS NOT NULL, gen_random_uuid()
FROM "session" WHERE "expire"::timestamptz > now()
ON CONFLICT DO NOTHING;
