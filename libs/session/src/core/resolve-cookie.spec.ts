import { describe, expect, it } from '@jest/globals';
import { SessionConfigError } from './errors.js';
import type { SessionCookieOptions } from './options.js';
import { resolveCookie } from './resolve-cookie.js';

const SECURE = { secure: true } as const;

function messageOf(options: object, isProduction = false): string {
  try {
    resolveCookie(options as SessionCookieOptions, isProduction);
  } catch (error) {
    expect(error).toBeInstanceOf(SessionConfigError);
    return (error as Error).message;
  }
  throw new Error('the options were accepted');
}

describe('resolveCookie', () => {
  it('is a __Host- cookie in production', () => {
    expect(resolveCookie({}, true)).toEqual({
      name: '__Host-sid',
      domain: undefined,
      path: '/',
      sameSite: 'lax',
      secure: true,
      partitioned: false,
    });
  });

  it('is a plain cookie elsewhere', () => {
    expect(resolveCookie({}, false)).toMatchObject({ name: 'sid', secure: false });
  });

  it.each<[string, SessionCookieOptions, string]>([
    ['secure', { secure: true }, '__Host-sid'],
    ['secure with a domain', { secure: true, domain: 'example.com' }, 'sid'],
    ['secure with a path', { secure: true, path: '/app' }, 'sid'],
    ['not secure, as asked for', { secure: false }, 'sid'],
  ])('has a default name that fits a cookie that is %s', (_, options, name) => {
    expect(resolveCookie(options, true).name).toBe(name);
  });

  it('lets secure: false be asked for in production', () => {
    expect(resolveCookie({ secure: false }, true).secure).toBe(false);
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(resolveCookie({}, true))).toBe(true);
  });

  it.each(['sid', 'a', "!#$%&'*+-.^_`|~", 'A'.repeat(64), '__proto__', 'constructor', '__Hostel', '__Httpd-sid'])(
    'accepts the name %p',
    (name) => {
      expect(resolveCookie({ name }, false).name).toBe(name);
    },
  );

  it.each([
    '',
    ' ',
    'a b',
    'a=b',
    'a;b',
    'a,b',
    'a"b',
    'a\\b',
    'a/b',
    'a[0]',
    'é',
    'sid\t',
    'sid\r\nX: 1',
    'sid\0',
    'sid\n',
    'sid\u007f',
    'A'.repeat(65),
    'A'.repeat(200),
    null,
    1,
    ['sid'],
    { toString: () => 'sid' },
  ])('refuses the name %j', (name) => {
    expect(messageOf({ name })).toMatch(/^cookie\.name is .* Give 1 to 64 ASCII characters/);
  });

  it.each(['__Host-sid', '__Secure-sid', '__Http-sid', '__Host-Http-sid'])('accepts %p on a secure cookie', (name) => {
    expect(resolveCookie({ name, secure: true }, false).name).toBe(name);
    expect(messageOf({ name })).toContain('needs cookie.secure: true');
    expect(messageOf({ name, secure: false }, true)).toContain('needs cookie.secure: true');
  });

  it.each(['__Host-sid', '__Host-Http-sid'])('refuses %p with a domain or a path', (name) => {
    expect(messageOf({ ...SECURE, name, domain: 'example.com' })).toContain('forbids cookie.domain');
    expect(messageOf({ ...SECURE, name, path: '/app' })).toContain('needs cookie.path "/"');
  });

  it.each(['__Secure-sid', '__Http-sid'])('accepts %p with a domain and a path', (name) => {
    const cookie = resolveCookie({ ...SECURE, name, domain: 'example.com', path: '/app' }, false);

    expect(cookie).toMatchObject({ name, domain: 'example.com', path: '/app' });
  });

  it.each([
    ['__host-sid', '__Host-'],
    ['__HOST-sid', '__Host-'],
    ['__secure-sid', '__Secure-'],
    ['__http-sid', '__Http-'],
    ['__Host-HTTP-sid', '__Host-Http-'],
    ['__HOST-Http-sid', '__Host-Http-'],
  ])('refuses the odd-cased prefix of %p', (name, prefix) => {
    expect(messageOf({ ...SECURE, name })).toContain(`Spell it "${prefix}"`);
    expect(messageOf({ name })).toContain(`Spell it "${prefix}"`);
  });

  it.each(['example.com', 'a.b.example.co.uk', 'EXAMPLE.com', 'xn--bcher-kva.example', '1.example.com', '3com.com'])(
    'accepts the domain %p',
    (domain) => {
      expect(resolveCookie({ domain }, false).domain).toBe(domain);
    },
  );

  it.each([
    '',
    '.',
    '..',
    'com',
    'localhost',
    '.example.com',
    'example.com.',
    'a..b',
    '-a.com',
    'a-.com',
    'a_b.com',
    'example.com:8080',
    'https://example.com',
    'example.com/app',
    'example.com; Secure',
    'example.com,a.com',
    'exa mple.com',
    'example.com\r\nX: 1',
    'example.com\n',
    'bücher.example',
    '127.0.0.1',
    '192.168.0.10',
    '[::1]',
    '::1',
    '*.example.com',
    `${'a'.repeat(64)}.com`,
    `${'a.'.repeat(130)}com`,
    null,
    1,
    ['example.com'],
  ])('refuses the domain %j', (domain) => {
    expect(messageOf({ domain })).toMatch(/^cookie\.domain is .* Give a domain such as "example\.com"/);
  });

  it.each(['/', '/app', '/app/', '/a%20b', '/a,b=c', `/${'a'.repeat(1_023)}`])('accepts the path %p', (path) => {
    expect(resolveCookie({ path }, false).path).toBe(path);
  });

  it.each([
    '',
    'app',
    './app',
    '/; HttpOnly',
    '/a;',
    '/a b',
    '/\r\n',
    '/\r\nSet-Cookie: x=1',
    '/\0',
    '/é',
    '/\u007f',
    `/${'a'.repeat(1_024)}`,
    null,
    1,
    ['/'],
  ])('refuses the path %j', (path) => {
    expect(messageOf({ path })).toMatch(/^cookie\.path is .* Give a path that begins with "\/"/);
  });

  it.each(['lax', 'strict', 'none'] as const)('accepts sameSite %p on a secure cookie', (sameSite) => {
    expect(resolveCookie({ sameSite, secure: true }, false).sameSite).toBe(sameSite);
  });

  it.each(['Lax', 'None', 'bogus', '', true, false, null, 1])('refuses sameSite %p', (sameSite) => {
    expect(messageOf({ ...SECURE, sameSite })).toContain('Give one of "lax", "strict", "none"');
  });

  it('refuses what a browser would drop without Secure', () => {
    expect(messageOf({ sameSite: 'none' })).toBe('cookie.sameSite "none" needs cookie.secure: true.');
    expect(messageOf({ partitioned: true })).toBe('cookie.partitioned needs cookie.secure: true.');
    expect(messageOf({ partitioned: true, secure: false }, true)).toContain('cookie.partitioned');
  });

  it('accepts a partitioned cookie that is secure', () => {
    expect(resolveCookie({ partitioned: true, sameSite: 'none' }, true)).toMatchObject({ partitioned: true });
  });

  it.each([
    ['secure', null],
    ['secure', 'auto'],
    ['secure', 1],
    ['partitioned', null],
    ['partitioned', 'yes'],
  ])('refuses %s: %p', (key, value) => {
    expect(messageOf({ [key]: value }, true)).toMatch(new RegExp(`^cookie\\.${key} is .* Give true or false`));
  });

  it('refuses unknown keys', () => {
    expect(messageOf({ sameSIte: 'none' })).toBe('cookie has no option "sameSIte". Did you mean "sameSite"?');
    expect(messageOf({ httpOnly: false })).toBe('cookie has no option "httpOnly". The cookie is always HttpOnly.');
    expect(messageOf({ maxAge: 1 })).toContain('Set "absoluteTimeout" and "persistent" beside cookie');
  });

  it.each([null, true, 'sid', []])('refuses %p in the place of an object', (options) => {
    expect(messageOf(options as unknown as object)).toContain('Give an object');
  });
});
