import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { SessionColumns } from './session-columns.js';

/** bigint may arrive as text; milliseconds fit a number for 285 000 years. */
const milliseconds = { to: (value: number) => value, from: (value: string | number) => Number(value) };
const time = {
  to: (value?: Date | null) => value?.getTime() ?? value,
  from: (value?: string | number | null) => (value == null ? null : new Date(Number(value))),
};

const UUID = { length: 36, charset: 'ascii', collation: 'ascii_bin' } as const;
const USER_ID = { length: 255, charset: 'utf8mb4', collation: 'utf8mb4_bin' } as const;

/**
 * Columns of a session row on MariaDB and MySQL. Extend it for columns of your own: they must be nullable or have a
 * default. Times are milliseconds since the epoch in the database, and Dates here.
 */
export abstract class MysqlSessionColumns extends SessionColumns {
  @PrimaryColumn('char', { name: 'id', ...UUID })
  override id!: string;

  @Index({ unique: true })
  @Column('binary', { name: 'token_hash', length: 32 })
  override tokenHash!: Buffer;

  @Column('json', { name: 'data' })
  override data!: Record<string, unknown>;

  @Index()
  @Column('varchar', { name: 'user_id', nullable: true, ...USER_ID })
  override userId!: string | null;

  @Column('int', { name: 'version' })
  override version!: number;

  @Column('bigint', { name: 'created_at', transformer: time })
  override createdAt!: Date;

  @Column('bigint', { name: 'touched_at', transformer: time })
  override touchedAt!: Date;

  @Index()
  @Column('bigint', { name: 'expires_at', transformer: time })
  override expiresAt!: Date;

  @Column('bigint', { name: 'absolute_expires_at', transformer: time })
  override absoluteExpiresAt!: Date;

  @Column('bigint', { name: 'idle_timeout', transformer: milliseconds })
  override idleTimeout!: number;

  @Column('boolean', { name: 'persistent' })
  override persistent!: boolean;

  @Index()
  @Column('binary', { name: 'previous_token_hash', length: 32, nullable: true })
  override previousTokenHash!: Buffer | null;

  @Column('bigint', { name: 'previous_token_until', transformer: time, nullable: true })
  override previousTokenUntil!: Date | null;

  @Column('char', { name: 'last_write', ...UUID })
  override lastWrite!: string;
}

/** The session table on MariaDB and MySQL, published as `MysqlSessionEntity`. */
@Entity('sessions', { engine: 'InnoDB' })
export class Session extends MysqlSessionColumns {}
