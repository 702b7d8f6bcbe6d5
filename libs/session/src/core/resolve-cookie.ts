import { describeValue, quote } from './display.js';
import { SessionConfigError } from './errors.js';
import { checkBoolean, checkOneOf, readOwn } from './option-checks.js';
import type { ResolvedCookieOptions, SessionCookieOptions } from './options.js';

const DEFAULTS = {
  name: undefined,
  domain: undefined,
  path: '/',
  sameSite: 'lax',
  secure: undefined,
  partitioned: false,
} as const satisfies { [K in keyof Required<SessionCookieOptions>]: SessionCookieOptions[K] };

/** Options of other libraries' cookies that have another name here, or none. */
const ELSEWHERE = {
  httpOnly: 'The cookie is always HttpOnly.',
  maxAge: 'Set "absoluteTimeout" and "persistent" beside cookie.',
  expires: 'Set "absoluteTimeout" and "persistent" beside cookie.',
};

/**
 * Prefixes that browsers enforce. `hostOnly` ones also refuse a domain and other paths than `/`.
 * https://www.rfc-editor.org/rfc/rfc6265bis#section-4.1.3 and, for `Http`, draft-ietf-httpbis-layered-cookies
 */
const NAME_PREFIXES = [
  { prefix: '__Host-Http-', hostOnly: true },
  { prefix: '__Http-', hostOnly: false },
  { prefix: '__Host-', hostOnly: true },
  { prefix: '__Secure-', hostOnly: false },
] as const;

/** A token, as names of cookies are: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2 */
const NAME = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,64}$/;

/** Visible ASCII but the semicolon: https://www.rfc-editor.org/rfc/rfc6265bis#section-4.1.1 */
const PATH = /^\/[\x21-\x3a\x3c-\x7e]{0,1023}$/;

const DOMAIN_LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * The cookie's attributes, checked against each other as a browser would (OWASP ASVS 3.3.1 to 3.3.3): what it would
 * silently drop stops the boot.
 *
 * @throws SessionConfigError
 */
export function resolveCookie(options: SessionCookieOptions, isProduction: boolean): ResolvedCookieOptions {
  const given = { ...DEFAULTS, ...readOwn(options, 'cookie', Object.keys(DEFAULTS), ELSEWHERE) };
  const secure = given.secure === undefined ? isProduction : checkBoolean(given.secure, 'cookie.secure');
  const domain = given.domain === undefined ? undefined : checkDomain(given.domain);
  const path = checkPath(given.path);
  const defaultName = secure && domain === undefined && path === '/' ? '__Host-sid' : 'sid';
  const name = checkName(given.name === undefined ? defaultName : given.name);
  const sameSite = checkOneOf(given.sameSite, 'cookie.sameSite', ['lax', 'strict', 'none']);
  const partitioned = checkBoolean(given.partitioned, 'cookie.partitioned');
  const cookie = Object.freeze({ name, domain, path, sameSite, secure, partitioned });
  checkSecure(cookie);
  checkPrefix(cookie);
  return cookie;
}

function checkName(name: string): string {
  if (typeof name === 'string' && NAME.test(name)) return name;
  throw new SessionConfigError(
    `cookie.name is ${describeValue(name)}. Give 1 to 64 ASCII characters without spaces, quotes or any of ( ) , / : ; < = > ? @ [ \\ ] { }.`,
  );
}

function checkDomain(domain: string): string {
  if (typeof domain === 'string' && isDomain(domain)) return domain;
  throw new SessionConfigError(
    `cookie.domain is ${describeValue(domain)}. Give a domain such as "example.com", without a dot in front, a port or an IP address, or leave it out to keep the cookie on its own host.`,
  );
}

function isDomain(domain: string): boolean {
  const labels = domain.split('.');
  const isNumeric = /^[0-9]+$/.test(labels.at(-1) ?? '');
  return domain.length <= 253 && labels.length > 1 && !isNumeric && labels.every((label) => DOMAIN_LABEL.test(label));
}

function checkPath(path: string): string {
  if (typeof path === 'string' && PATH.test(path)) return path;
  throw new SessionConfigError(
    `cookie.path is ${describeValue(path)}. Give a path that begins with "/", in visible ASCII and without a semicolon.`,
  );
}

function checkSecure({ sameSite, partitioned, secure }: ResolvedCookieOptions): void {
  if (secure) return;
  if (sameSite === 'none') throw new SessionConfigError('cookie.sameSite "none" needs cookie.secure: true.');
  if (partitioned) throw new SessionConfigError('cookie.partitioned needs cookie.secure: true.');
}

function checkPrefix({ name, domain, path, secure }: ResolvedCookieOptions): void {
  const rule = NAME_PREFIXES.find(({ prefix }) => name.toLowerCase().startsWith(prefix.toLowerCase()));
  if (!rule) return;
  const begins = `cookie.name begins with ${quote(name.slice(0, rule.prefix.length))}`;
  // Browsers apply the rules to any spelling, and what reads the name elsewhere may not.
  if (!name.startsWith(rule.prefix)) throw new SessionConfigError(`${begins}. Spell it ${quote(rule.prefix)}.`);
  if (!secure) {
    throw new SessionConfigError(
      `${begins}, which needs cookie.secure: true. Without cookie.name the prefix is added where the cookie is secure.`,
    );
  }
  if (!rule.hostOnly) return;
  if (domain !== undefined) throw new SessionConfigError(`${begins}, which forbids cookie.domain.`);
  if (path !== '/') throw new SessionConfigError(`${begins}, which needs cookie.path "/".`);
}
