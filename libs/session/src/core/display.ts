const MAX_DISPLAYED = 64;

/** What would move a cursor, forge a log line, reorder or hide text: controls, format characters, lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** A text for a message or a log: in quotes, at most 64 characters of it, and nothing unprintable. */
export function quote(text: string): string {
  const shown = text.length > MAX_DISPLAYED ? `${text.slice(0, MAX_DISPLAYED)}…` : text;
  const escaped = shown.replace(/["\\]/g, '\\$&').replace(UNPRINTABLE, escapeCharacter);
  return `"${escaped}"`;
}

/** A value of a wrong option for a message. Calls nothing of the value's own. Never for a secret. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
