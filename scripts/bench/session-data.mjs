// What is in each session. Built so that PostgreSQL can compress none of it: a text that repeats itself would make 16 KB
// as cheap as 1 KB.
import { createHash } from 'node:crypto';

const FIELDS = Array.from({ length: 8 }, (_, index) => `field${index}`);
const STEP = 7;
const noise = Array.from({ length: 1024 }, (_, block) =>
  createHash('sha256').update(`block ${block}`).digest('base64'),
).join('');

/** Of a session in which nothing has been written since. */
export const firstValue = (visitor) => `first-${visitor}`;

/** About this many kilobytes of JSON. The texts are slices of one that is made at the start: they cost next to nothing. */
export function sessionData(visitor, kilobytes) {
  const length = kilobytes * 128 - 18;
  const data = { visitor, value: firstValue(visitor) };
  for (const [index, field] of FIELDS.entries()) {
    const begin = ((visitor.length + index) * STEP + visitor.charCodeAt(visitor.length - 1)) % 1000;
    data[field] = noise.slice(begin + index * length, begin + (index + 1) * length);
  }
  return data;
}

/** @param {(key: string) => string | undefined} get from a session */
export const payloadLength = (get) => FIELDS.reduce((sum, field) => sum + (get(field)?.length ?? 0), 0);

/** What `payloadLength` says of a session that is whole. */
export const wholeLength = (kilobytes) => payloadLength((field) => sessionData('0', kilobytes)[field]);
