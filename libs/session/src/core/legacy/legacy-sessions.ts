/** A session of the store that an application had before. */
export interface LegacySession {
  /** What `req.session` was, with or without its `cookie`. */
  readonly data: Readonly<Record<string, unknown>>;
  /** Milliseconds until it expires there. Default: not known, and every request of its visitor calls `touch`. */
  readonly remaining?: number;
}

/**
 * The store that an application had before. What a method throws is an outage: 503, and nobody is signed out. Each has to
 * come to an end by itself.
 */
export interface LegacySessions {
  /** `undefined`: it is not there, or has expired. */
  read(id: string): Promise<LegacySession | undefined>;
  /**
   * Lets it expire so many milliseconds from now, if that is later than it would. Default: what has moved ends here when
   * the old session expires there.
   */
  touch?(id: string, milliseconds: number): Promise<void>;
  /** Ends it. That it has ended already is no error. */
  remove(id: string): Promise<void>;
}

/** A table of the session's own data source: {@link connectPgSimple}, {@link connectTypeorm}. */
export interface LegacyTable {
  /** For the module, which has the data source. */
  connect(dataSource: object, deadline: number): ConnectedLegacySessions;
}

export interface ConnectedLegacySessions extends LegacySessions {
  /** @throws SessionConfigError where the table cannot be read. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** The cookie that the application had before, and for how long it counts. */
export interface LegacyCookieOptions {
  /** Default: `connect.sid` and `sessionId`, as express-session and @fastify/session call it. */
  cookieName?: string;
  /** As the old cookie has it; needed to remove it. Default: none. */
  cookieDomain?: string;
  /** As the old cookie has it; needed to remove it. Default: `/`. */
  cookiePath?: string;
  /** All secrets that the old cookie may be signed with. Default: `secrets` of the module. */
  secrets?: readonly string[];
  /** From this moment on the old cookie is not looked at: a date, or text such as `2027-03-31`. */
  until: Date | string;
  /** The `userId` of a session that moves, from what it holds. Default: none. */
  userId?(data: Readonly<Record<string, unknown>>): string | undefined;
}

/** Where sessions come from. */
export type MigrateFrom = LegacyCookieOptions & (LegacySessions | LegacyTable);

/** `migrateFrom`, checked. */
export interface ResolvedMigrateFrom {
  readonly cookie: { readonly names: readonly string[]; readonly domain: string | undefined; readonly path: string };
  /** Not enumerable: no inspection or log prints it. */
  readonly secrets: readonly string[];
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly userId: ((data: Readonly<Record<string, unknown>>) => string | undefined) | undefined;
  readonly source: LegacySessions | LegacyTable;
}
