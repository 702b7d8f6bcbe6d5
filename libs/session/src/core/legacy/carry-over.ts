import { checkKey, JsonProfileError, propertyPath, serialize } from '../json-profile.js';
import type { ValueLimits } from '../session-values.js';
import type { JsonByKey } from '../store.js';

/** What express-session keeps of its cookie in the data: here the row and the options have that. */
const COOKIE = 'cookie';

/** Bytes and keys that a row needs besides: quotes, colons, and the mark of where the session comes from. */
const BYTES_PER_KEY = 8;

/**
 * What a session holds here of what it held there, by key as JSON. A key or value that ours may not have is lost, and where
 * there is too much of them the largest are.
 *
 * @param reserved what goes into the row in any case.
 */
export function carryOver(
  old: Readonly<Record<string, unknown>>,
  reserved: JsonByKey,
  limits: ValueLimits,
): { data: JsonByKey; lost: string[] } {
  const data: Record<string, string> = Object.assign(Object.create(null), reserved);
  const lost: string[] = [];
  const fitting: [key: string, json: string][] = [];
  for (const key of Object.keys(old)) {
    if (key === COOKIE) continue;
    const json = jsonOf(key, old[key], limits);
    if (json === undefined) lost.push(key);
    else fitting.push([key, json]);
  }
  let bytes = 2 + Object.entries(reserved).reduce((sum, entry) => sum + sizeOf(entry), 0);
  for (const entry of fitting.sort((a, b) => sizeOf(a) - sizeOf(b))) {
    bytes += sizeOf(entry);
    if (bytes > limits.maxBytes || Object.keys(data).length >= limits.maxKeys) lost.push(entry[0]);
    else data[entry[0]] = entry[1];
  }
  return { data, lost };
}

function jsonOf(key: string, value: unknown, limits: ValueLimits): string | undefined {
  if (checkKey(key) !== undefined) return undefined;
  try {
    return serialize(value, propertyPath('$', key), limits);
  } catch (error) {
    if (error instanceof JsonProfileError) return undefined;
    throw error;
  }
}

function sizeOf([key, json]: readonly [string, string]): number {
  return Buffer.byteLength(key) + Buffer.byteLength(json) + BYTES_PER_KEY;
}
