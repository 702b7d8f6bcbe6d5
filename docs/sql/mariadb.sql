-- The session table on MariaDB 10.6 and newer: what the migration CreateSessions1764000000000 makes, for those who run
-- SQL by hand. Run it in the application's database.

CREATE TABLE `sessions` (
  `id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `token_hash` binary(32) NOT NULL,
  `data` json NOT NULL,
  `user_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  `version` int NOT NULL,
  -- Times are milliseconds since 1970 in UTC: FROM_UNIXTIME(`expires_at` / 1000) shows them.
  `created_at` bigint NOT NULL,
  `touched_at` bigint NOT NULL,
  `expires_at` bigint NOT NULL,
  `absolute_expires_at` bigint NOT NULL,
  `idle_timeout` bigint NOT NULL,
  `persistent` tinyint NOT NULL,
  `previous_token_hash` binary(32) NULL,
  `previous_token_until` bigint NULL,
  `last_write` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  -- The names are TypeORM's, so that `migration:generate` finds no change.
  PRIMARY KEY (`id`),
  UNIQUE INDEX `IDX_abaa9e068cdd390bc5210f7988` (`token_hash`),
  INDEX `IDX_085d540d9f418cfbdc7bd55bb1` (`user_id`),
  INDEX `IDX_9cfe37d28c3b229a350e086d94` (`expires_at`),
  INDEX `IDX_08834ccd8bb22353cd412266a1` (`previous_token_hash`)
) ENGINE=InnoDB;

-- All that the application's user needs.
GRANT SELECT, INSERT, UPDATE, DELETE ON `sessions` TO 'app'@'%';
