import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { SessionColumns } from './session-columns.js';

const time = {
  to: (value?: Date | null) => value?.getTime() ?? value,
  from: (value?: number | null) => (value == null ? null : new Date(value)),
};
/** sql.js answers plain Uint8Arrays. */
const bytes = {
  to: (value?: Buffer | null) => value,
  from: (value?: Uint8Array | null) => (value == null ? null : Buffer.from(value)),
};

/**
 * Columns of a session row on SQLite. Extend it for columns of your own: they must be nullable or have a default. Times
 * are milliseconds since the epoch in the database, and Dates here.
 */
export abstract class SqliteSessionColumns extends SessionColumns {
  @PrimaryColumn('varchar', { name: 'id', length: 36 })
  override id!: string;

  @Index({ unique: true })
  @Column('blob', { name: 'token_hash', transformer: bytes })
  override tokenHash!: Buffer;

  @Column('simple-json', { name: 'data' })
  override data!: Record<string, unknown>;

  @Index()
  @Column('varchar', { name: 'user_id', length: 255, nullable: true })
  override userId!: string | null;

  @Column('integer', { name: 'version' })
  override version!: number;

  @Column('integer', { name: 'created_at', transformer: time })
  override createdAt!: Date;

  @Column('integer', { name: 'touched_at', transformer: time })
  override touchedAt!: Date;

  @Index()
  @Column('integer', { name: 'expires_at', transformer: time })
  override expiresAt!: Date;

  @Column('integer', { name: 'absolute_expires_at', transformer: time })
  override absoluteExpiresAt!: Date;

  @Column('integer', { name: 'idle_timeout' })
  override idleTimeout!: number;

  @Column('boolean', { name: 'persistent' })
  override persistent!: boolean;

  @Index()
  @Column('blob', { name: 'previous_token_hash', nullable: true, transformer: bytes })
  override previousTokenHash!: Buffer | null;

  @Column('integer', { name: 'previous_token_until', transformer: time, nullable: true })
  override previousTokenUntil!: Date | null;

  @Column('varchar', { name: 'last_write', length: 36 })
  override lastWrite!: string;
}

/** The session table on SQLite, published as `SqliteSessionEntity`. */
@Entity('sessions')
export class Session extends SqliteSessionColumns {}
