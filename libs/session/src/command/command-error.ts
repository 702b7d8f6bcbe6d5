/** What somebody at a terminal can put right. The message is a sentence. */
export class CommandError extends Error {}
