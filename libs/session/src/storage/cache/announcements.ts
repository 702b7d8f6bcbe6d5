/** Is told what other nodes have changed. */
export interface Hearer {
  evict(id: string): void;
  /** Something may have been missed. */
  clear(): void;
}

/** How nodes tell each other which sessions they have changed. */
export interface Announcements {
  /** Settles when it is known whether anything is heard. A failure is no reason not to start: it is tried again. */
  start(hearer: Hearer): Promise<void>;

  /** Whether what is kept may be used now: what was announced a moment ago has been heard, or time alone decides. */
  isHeard(now: number): boolean;

  /** Tells the others of a change of data that has been committed. What becomes of a token, its statement announces. */
  announce(id: string): void;

  close(): Promise<void>;
}

/** Where nodes cannot tell each other anything: what is kept is used until it is too old. */
export class TimeAlone implements Announcements {
  async start(): Promise<void> {}

  isHeard(): boolean {
    return true;
  }

  announce(): void {}

  async close(): Promise<void> {}
}
