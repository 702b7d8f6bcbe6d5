import {
  validateHeaderName,
  validateHeaderValue,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import { isCookieNamed } from './cookie.js';

/** What the session's headers are set on. */
export type HeaderTarget = Pick<ServerResponse, 'getHeader'> & {
  setHeader(name: string, value: number | string | readonly string[]): unknown;
};

/** Headers as `writeHead` takes them: a list of names, in any case, and values in turn. */
export class HeaderList implements HeaderTarget {
  readonly all: OutgoingHttpHeader[] = [];

  constructor(headers: OutgoingHttpHeaders) {
    for (const name of Object.keys(headers)) this.all.push(name, headers[name]!);
  }

  /** @throws what Node does when it is given them. */
  check(): void {
    for (let place = 0; place < this.all.length; place += 2) {
      const name = this.all[place] as string;
      validateHeaderName(name);
      validateHeaderValue(name, this.all[place + 1] as string);
    }
  }

  getHeader(name: string): OutgoingHttpHeader | undefined {
    return this.all[this.#placeOf(name) + 1];
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    const place = this.#placeOf(name);
    this.all[place] = name;
    this.all[place + 1] = value;
  }

  /** Of the name as the list has it already, or of the next. */
  #placeOf(name: string): number {
    const { all } = this;
    let place = 0;
    while (place < all.length && !isSameName(all[place] as string, name)) place += 2;
    return place;
  }
}

/** https://www.rfc-editor.org/rfc/rfc9110#section-5.1 */
function isSameName(one: string, other: string): boolean {
  return one === other || (one.length === other.length && one.toLowerCase() === other.toLowerCase());
}

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
