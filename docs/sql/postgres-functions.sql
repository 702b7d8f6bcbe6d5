-- The functions for session statements on PostgreSQL: what the migration CreateSessionFunctions1764300000000 makes, for those
-- who run SQL by hand. They are not needed, and save the database planning: docs/databases.md. The name ends in a part of a hash
-- of the text, so change nothing here. Everybody may call them, unless you have revoked EXECUTE from PUBLIC.

CREATE OR REPLACE FUNCTION session_find_7c029d13c016(bytea) RETURNS TABLE (answer_1 text, answer_2 jsonb) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $session$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT concat_ws(' ', encode("token_hash", 'hex'), "id", "idle_timeout", "persistent", date_part('epoch', "expires_at"), date_part('epoch', "absolute_expires_at"), date_part('epoch', "touched_at"), date_part('epoch', clock_timestamp()), coalesce(CASE WHEN "previous_token_until" > clock_timestamp() THEN encode("previous_token_hash", 'hex') END, '-'), "user_id"), "data" FROM "sessions" WHERE "token_hash" = $1 OR "previous_token_hash" = $1;
END
$session$;

CREATE OR REPLACE FUNCTION session_find_many_aced8b6e9a06(bytea[]) RETURNS TABLE (answer_1 text, answer_2 jsonb) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $session$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT concat_ws(' ', encode("token_hash", 'hex'), "id", "idle_timeout", "persistent", date_part('epoch', "expires_at"), date_part('epoch', "absolute_expires_at"), date_part('epoch', "touched_at"), date_part('epoch', clock_timestamp()), coalesce(CASE WHEN "previous_token_until" > clock_timestamp() THEN encode("previous_token_hash", 'hex') END, '-'), "user_id"), "data" FROM "sessions" WHERE "token_hash" = ANY($1) OR "previous_token_hash" = ANY($1);
END
$session$;

CREATE OR REPLACE FUNCTION session_create_f6fa05f30112(float8, uuid, bytea, jsonb, varchar, float8, bigint, boolean, uuid) RETURNS TABLE (answer_1 float8) LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $session$
#variable_conflict use_column
BEGIN
  RETURN QUERY INSERT INTO "sessions" ("id", "token_hash", "data", "user_id", "version", "created_at", "touched_at", "expires_at", "absolute_expires_at", "idle_timeout", "persistent", "last_write") SELECT $2, $3, $4, $5, 1, t, t, t + ($1 * interval '1 millisecond'), t + ($6 * interval '1 millisecond'), $7, $8, $9 FROM (SELECT clock_timestamp() AS t) AS clock RETURNING date_part('epoch', "expires_at") * 1000;
END
$session$;

CREATE OR REPLACE FUNCTION session_create_many_f3eb1e33b522(uuid[], bytea[], jsonb[], varchar[], float8[], float8[], bigint[], boolean[], uuid[]) RETURNS TABLE (answer_1 integer, answer_2 float8) LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $session$
#variable_conflict use_column
BEGIN
  RETURN QUERY INSERT INTO "sessions" ("id", "token_hash", "data", "user_id", "version", "created_at", "touched_at", "expires_at", "absolute_expires_at", "idle_timeout", "persistent", "last_write") SELECT new_id, hash, json, owner, 1, t, t, t + idle * interval '1 millisecond', t + absolute * interval '1 millisecond', timeout, outlives, mark FROM (SELECT clock_timestamp() AS t, set_config('lock_timeout', '100', true)) AS clock, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS creations (new_id, hash, json, owner, idle, absolute, timeout, outlives, mark) ORDER BY hash RETURNING array_position($1, "id") - 1, date_part('epoch', "expires_at") * 1000;
END
$session$;

CREATE OR REPLACE FUNCTION session_update_063f363214a9(jsonb, uuid, uuid, bytea) RETURNS TABLE (answer_1 float8) LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $session$
#variable_conflict use_column
BEGIN
  RETURN QUERY UPDATE "sessions" SET "data" = ("data" || $1), "version" = "version" + 1, "last_write" = $2 WHERE "id" = $3 AND "token_hash" = $4 AND "expires_at" > clock_timestamp() RETURNING date_part('epoch', "expires_at") * 1000;
END
$session$;

CREATE OR REPLACE FUNCTION session_update_many_338f2eda7d68(uuid[], bytea[], jsonb[], uuid[]) RETURNS TABLE (answer_1 integer, answer_2 float8) LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $session$
#variable_conflict use_column
BEGIN
  RETURN QUERY UPDATE "sessions" SET "data" = "data" || ($3)[array_position($1, "id")], "version" = "version" + 1, "last_write" = ($4)[array_position($1, "id")] WHERE "id" = ANY(ARRAY(SELECT "id" FROM "sessions" WHERE "id" = ANY($1) ORDER BY "id" FOR NO KEY UPDATE SKIP LOCKED)) AND "token_hash" = ($2)[array_position($1, "id")] AND "expires_at" > clock_timestamp() RETURNING array_position($1, "id") - 1, date_part('epoch', "expires_at") * 1000;
END
$session$;
