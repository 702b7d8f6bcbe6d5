/** Something about a session that an operator may want to know. Holds ids and counts, never a token, hash or value. */
export type SessionEvent =
  /** A stored row could not be read as a session: it counts as anonymous. Or a value in it cannot: it counts as absent. */
  | { readonly type: 'unreadable'; readonly id: string }
  /** A stored key does not fit the `schema`: the request does not see it, the row keeps it. */
  | { readonly type: 'invalid-key'; readonly id: string; readonly key: string; readonly constraints: readonly string[] }
  /** The request carried cookies of two live sessions: it counts as anonymous. */
  | { readonly type: 'duplicate-cookie'; readonly ids: readonly string[] }
  /** The store failed; `reason` is an SQLSTATE, an errno or `deadline`. */
  | { readonly type: 'store-failed'; readonly operation: string; readonly reason: string }
  /**
   * What the cache goes by from now on: `listening` to other nodes, by time alone (`timed`), or it is `bypassed`, as the
   * connection that listens is lost; `reason` is then an SQLSTATE, an errno, `connection` or `deadline`.
   */
  | {
      readonly type: 'cache';
      readonly state: 'listening' | 'timed' | 'bypassed';
      readonly reason?: string;
    }
  /** A session moved here from the store of `migrateFrom`. `lost`: its keys that a session here cannot have. */
  | { readonly type: 'migrated'; readonly id: string; readonly lost: readonly string[] }
  /** A session that had moved here ended, as the old one was `gone` or somebody else was signed in there (`changed`). */
  | { readonly type: 'migration-ended'; readonly id: string; readonly reason: 'gone' | 'changed' }
  /** Expired rows were deleted. */
  | { readonly type: 'cleanup'; readonly deleted: number; readonly milliseconds: number };
