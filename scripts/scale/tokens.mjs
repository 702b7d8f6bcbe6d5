// Visitors whose tokens can be worked out: who has the seed need not have signed them in, nor keep ten million cookies.
import { createHash } from 'node:crypto';

/** Of the session with this number. */
export const tokenOf = (seed, number) => createHash('sha256').update(`${seed} ${number}`).digest('base64url');

/** The same in SQL. @param {string} seed an expression @param {string} number an expression */
export const tokenSql = (seed, number) =>
  `translate(encode(sha256(convert_to(${seed} || ' ' || ${number}, 'UTF8')), 'base64'), '+/=', '-_')`;
