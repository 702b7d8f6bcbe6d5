import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { SessionColumns } from './session-columns.js';

/** bigint arrives as text; milliseconds fit a number for 285 000 years. */
const milliseconds = { to: (value: number) => value, from: (value: string) => Number(value) };

/** Columns of a session row on PostgreSQL. Extend it for columns of your own: they must be nullable or have a default. */
export abstract class PostgresSessionColumns extends SessionColumns {
  @PrimaryColumn('uuid', { name: 'id' })
  override id!: string;

  @Index({ unique: true })
  @Column('bytea', { name: 'token_hash' })
  override tokenHash!: Buffer;

  @Column('jsonb', { name: 'data' })
  override data!: Record<string, unknown>;

  @Index()
  @Column('varchar', { name: 'user_id', length: 255, nullable: true })
  override userId!: string | null;

  @Column('integer', { name: 'version' })
  override version!: number;

  @Column('timestamptz', { name: 'created_at' })
  override createdAt!: Date;

  @Column('timestamptz', { name: 'touched_at' })
  override touchedAt!: Date;

  @Index()
  @Column('timestamptz', { name: 'expires_at' })
  override expiresAt!: Date;

  @Column('timestamptz', { name: 'absolute_expires_at' })
  override absoluteExpiresAt!: Date;

  @Column('bigint', { name: 'idle_timeout', transformer: milliseconds })
  override idleTimeout!: number;

  @Column('boolean', { name: 'persistent' })
  override persistent!: boolean;

  @Index()
  @Column('bytea', { name: 'previous_token_hash', nullable: true })
  override previousTokenHash!: Buffer | null;

  @Column('timestamptz', { name: 'previous_token_until', nullable: true })
  override previousTokenUntil!: Date | null;

  @Column('uuid', { name: 'last_write' })
  override lastWrite!: string;
}

/** The session table on PostgreSQL, published as `SessionEntity`. */
@Entity('sessions')
export class Session extends PostgresSessionColumns {}
