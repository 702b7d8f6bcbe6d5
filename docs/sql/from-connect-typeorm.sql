-- Copies the live sessions of connect-typeorm ("session") for ExpressSessionStore ("sessions"). On PostgreSQL; may be run
-- again: what is there stays.
INSERT INTO "sessions" ("id", "token_hash", "data", "version", "created_at", "touched_at", "expires_at",
  "absolute_expires_at", "idle_timeout", "persistent", "last_write")
SELECT gen_random_uuid(), sha256(convert_to("id", 'UTF8')), "json"::jsonb #- '{cookie,expires}', 1, now(), now(),
  to_timestamp("expiredAt" / 1000.0), now() + interval '400 days',
  coalesce(("json"::jsonb #>> '{cookie,originalMaxAge}')::numeric, 86400000)::bigint,
  "json"::jsonb #>> '{cookie,originalMaxAge}' IS NOT NULL, gen_random_uuid()
FROM "session" WHERE "expiredAt" > extract(epoch FROM now()) * 1000 AND "destroyedAt" IS NULL
ON CONFLICT DO NOTHING;
