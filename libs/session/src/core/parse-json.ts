/**
 * `JSON.parse` for what a row holds, which differs from it twice. A `__proto__` at any level is left out. And keys are
 * what the text says: in V8 12.8 and later (Node 24, 26), `JSON.parse` takes a key with an escape in it for a similar key
 * that it has parsed before (https://github.com/nodejs/node/issues/63785).
 *
 * @throws SyntaxError where the text is no JSON.
 * @throws RangeError where the text {@link needsRevival} and is nested thousands of levels deep.
 */
export function parseJson(text: string): unknown {
  if (hasEscapedKey(text)) return parseByWords(text);
  return JSON.parse(text, text.includes('__proto__') ? withoutProto : undefined);
}

/** Whether {@link parseJson} visits every value of a text, which takes recursion. */
export function needsRevival(text: string): boolean {
  return text.includes('__proto__') || hasEscapedKey(text);
}

/** A string, and the colon that makes a key of it. Each character is passed once, whatever the text. */
const STRING = /"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?/gs;

function hasEscapedKey(text: string): boolean {
  if (!text.includes('\\')) return false;
  for (const [, inside, colon] of text.matchAll(STRING)) {
    if (colon !== undefined && inside!.includes('\\')) return true;
  }
  return false;
}

/** Parses the text with a plain word for each of its keys. A key by itself is parsed right. */
function parseByWords(text: string): unknown {
  const keys: string[] = [];
  const withWords = text.replace(STRING, (string, inside: string, colon: string | undefined) => {
    if (colon === undefined) return string;
    keys.push(JSON.parse(`"${inside}"`) as string);
    return `"key ${keys.length - 1}"${colon}`;
  });
  return JSON.parse(withWords, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const members = Object.entries(value).map(([word, member]) => [keys[Number(word.slice('key '.length))]!, member]);
    return Object.fromEntries(members.filter(([key]) => key !== '__proto__'));
  });
}

function withoutProto(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}
