import type { ServerResponse } from 'node:http';
import { isCookieNamed } from './cookie.js';

/** What a response must be able to do for the session's headers. */
export type HeaderTarget = Pick<ServerResponse, 'getHeader' | 'setHeader'>;

/**
 * Puts a Set-Cookie line in the place of all lines for the same cookie: a response has one at most.
 * Other cookies stay as they are.
 * https://www.rfc-editor.org/rfc/rfc6265bis#section-4.1.1
 */
export function replaceSetCookie(response: HeaderTarget, name: string, line: string): void {
  const others = headerLines(response, 'Set-Cookie').filter((other) => !isCookieNamed(other, name));
  response.setHeader('Set-Cookie', [...others, line]);
}

/** Adds `Cookie` to what the response varies by: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5 */
export function addVaryCookie(response: HeaderTarget): void {
  if (response.getHeader('Vary') === undefined) {
    response.setHeader('Vary', 'Cookie');
    return;
  }
  const fields = headerLines(response, 'Vary')
    .flatMap((line) => line.split(','))
    .map((field) => field.trim())
    .filter((field) => field !== '');
  if (fields.some((field) => field === '*' || field.toLowerCase() === 'cookie')) return;
  response.setHeader('Vary', [...fields, 'Cookie'].join(', '));
}

/** Forbids all caches to keep the response, whatever the handler said: it hands out or takes back a token. */
export function setNoStore(response: HeaderTarget): void {
  // One that forbids it already may say more: `no-transform` keeps server-sent events from waiting in a compressor.
  if (/(^|,)[ \t]*no-store[ \t]*(,|$)/i.test(headerLines(response, 'Cache-Control').join())) return;
  response.setHeader('Cache-Control', 'no-store');
}

/** Keeps a response that depends on the session out of shared caches, unless the handler decided otherwise. */
export function setPrivateIfUnset(response: HeaderTarget): void {
  if (response.getHeader('Cache-Control') === undefined) response.setHeader('Cache-Control', 'private');
}

function headerLines(response: HeaderTarget, name: string): string[] {
  const value = response.getHeader(name);
  return value === undefined ? [] : [value].flat().map(String);
}
