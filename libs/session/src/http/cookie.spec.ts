import { describe, expect, it } from '@jest/globals';
import type { ResolvedCookieOptions } from '../core/options.js';
import { createToken } from '../core/token.js';
import { isCookieNamed, readCookieValues, serializeCookie, serializeExpiredCookie } from './cookie.js';

const NAME = '__Host-sid';

const T = createToken();
const U = createToken();

const HOST: ResolvedCookieOptions = {
  name: NAME,
  domain: undefined,
  path: '/',
  sameSite: 'lax',
  secure: true,
  partitioned: false,
};

describe('readCookieValues', () => {
  it.each<[string, string, string[]]>([
    ['a lone cookie', `${NAME}=${T}`, [T]],
    ['a cookie among others', `a=1; ${NAME}=${T}; b=2`, [T]],
    ['cookies without a space between them', `a=1;${NAME}=${T};b=2`, [T]],
    ['tabs and spaces around the pair', `a=1;\t  ${NAME}=${T} \t;b=2`, [T]],
    ['a trailing semicolon', `${NAME}=${T};`, [T]],
    ['an empty value', `${NAME}=`, ['']],
    ['two values, in order', `${NAME}=junk; ${NAME}=${T}`, ['junk', T]],
    ['two values, the other way round', `${NAME}=${T}; ${NAME}=junk`, [T, 'junk']],
    ['two tokens', `${NAME}=${T}; a=1; ${NAME}=${U}`, [T, U]],
    ['one value that comes twice', `${NAME}=${T}; ${NAME}=${U}; ${NAME}=${T}`, [T, U]],
    ['names of object members beside it', `__proto__=${U}; constructor=1; hasOwnProperty=2; ${NAME}=${T}`, [T]],
    ['a broken pair before it', `a; =b; ;; %E0%A4%A; ${NAME}=${T}`, [T]],
    ['a value with equals signs', `${NAME}=${T}==`, [`${T}==`]],
    ['quotes as part of the value', `${NAME}="${T}"`, [`"${T}"`]],
    ['percent-encoding as part of the value', `${NAME}=%41${T}`, [`%41${T}`]],
    ['a space inside the value', `${NAME}=${T} ${T}`, [`${T} ${T}`]],
    ['a space before the value as part of it', `${NAME}= ${T}`, [` ${T}`]],
    ['a comma as part of the value', `${NAME}=${T},${NAME}=${U}`, [`${T},${NAME}=${U}`]],
    ['an old-style header, version and all', `$Version=1; ${NAME}="${T}"; $Path="/"`, [`"${T}"`]],
    ['a cookie sandwich, cut at the semicolon', `${NAME}="${T}; x=y"`, [`"${T}`]],
    ['control characters as part of the value', `${NAME}=${T}\r\nSet-Cookie: x=1`, [`${T}\r\nSet-Cookie: x=1`]],
    ['bytes beyond ASCII as part of the value', `${NAME}=\x80\xff`, ['\x80\xff']],
    ['4 000 cookies before it', `${'a=1;'.repeat(4_000)}${NAME}=${T}`, [T]],
  ])('reads %s', (_, header, values) => {
    expect(readCookieValues(header, NAME)).toEqual(values);
  });

  it.each([
    ['an empty header', ''],
    ['the name alone', NAME],
    ['the name as a value', `a=${NAME}`],
    ['the pair as a value', `a=${NAME}=${U}`],
    ['a value without a name', `=${T}`],
    ['a pair without a name that holds ours', `=${NAME}=${U}`],
    ['the name in lower case', `__host-sid=${U}`],
    ['the name in upper case', `__HOST-SID=${U}`],
    ['a longer name', `${NAME}2=${U}`],
    ['a name that ends in ours', `x${NAME}=${U}`],
    ['a tab after the name', `${NAME}\t=${U}`],
    ['a space after the name', `${NAME} =${U}`],
    ['a no-break space before the name', `\u00a0${NAME}=${U}`],
    ['the bytes of a no-break space', `\xc2\xa0${NAME}=${U}`],
    ['the bytes of an en quad', `\xe2\x80\x80${NAME}=${U}`],
    ['a byte order mark', `\ufeff${NAME}=${U}`],
    ['the bytes of a byte order mark', `\xef\xbb\xbf${NAME}=${U}`],
    ['NEL', `\x85${NAME}=${U}`],
    ['a NUL', `\0${NAME}=${U}`],
    ['a line feed', `\n${NAME}=${U}`],
    ['a form feed', `\f${NAME}=${U}`],
    ['a percent-encoded name', `%5F%5FHost-sid=${U}`],
    ['a name that PHP would mangle', `..Host-sid=${U}; _[Host-sid=${U}; __Host.sid=${U}`],
    ['an array', `${NAME}[]=${U}; ${NAME}[0]=${U}`],
    ['a comma before the name', `a=1,${NAME}=${U}`],
  ])('finds nothing in %s', (_, header) => {
    expect(readCookieValues(header, NAME)).toEqual([]);
  });

  it('finds nothing without a header', () => {
    expect(readCookieValues(undefined, NAME)).toEqual([]);
  });

  it('finds nothing where an adapter gives something that is not a text', () => {
    expect(readCookieValues([`${NAME}=${T}`] as unknown as string, NAME)).toEqual([]);
  });

  it.each([
    ['semicolons', ';'],
    ['equals signs', '='],
    ['quotes', '"'],
    ['backslashes', '\\'],
    ['spaces', ' '],
    ['tabs', '\t'],
    ['semicolons and spaces', '; '],
    ['blanks that end in a letter', `${' '.repeat(500)}a`],
    ['our pairs', `${NAME}=;`],
    ['our name', NAME],
  ])('reads a huge header of %s', (_, part) => {
    // Two million characters: a reading that goes back over what it has read would take minutes.
    const header = part.repeat(Math.ceil(2_000_000 / part.length));

    expect(readCookieValues(`a${header}a; ${NAME}=${T}`, NAME)).toContain(T);
  });
});

describe('serializeCookie', () => {
  it('writes the cookie of a production application', () => {
    expect(serializeCookie(HOST, T, 1_209_600)).toBe(
      `__Host-sid=${T}; Path=/; Max-Age=1209600; HttpOnly; Secure; SameSite=Lax`,
    );
  });

  it('writes no lifetime for a cookie that ends with the browser', () => {
    expect(serializeCookie(HOST, T, undefined)).toBe(`__Host-sid=${T}; Path=/; HttpOnly; Secure; SameSite=Lax`);
  });

  it('writes every attribute there is', () => {
    const options: ResolvedCookieOptions = {
      name: 'sid',
      domain: 'example.com',
      path: '/app',
      sameSite: 'none',
      secure: true,
      partitioned: true,
    };

    expect(serializeCookie(options, T, 60)).toBe(
      `sid=${T}; Domain=example.com; Path=/app; Max-Age=60; HttpOnly; Secure; SameSite=None; Partitioned`,
    );
  });

  it('leaves out Secure in development', () => {
    expect(serializeCookie({ ...HOST, name: 'sid', secure: false, sameSite: 'strict' }, T, 60)).toBe(
      `sid=${T}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict`,
    );
  });

  it.each([
    [1, 1],
    [0.2, 1],
    [1.5, 2],
    [0, 0],
    [-5, 0],
    [34_560_000, 34_560_000],
    [34_560_001, 34_560_000],
    [1e21, 34_560_000],
    [Number.POSITIVE_INFINITY, 34_560_000],
  ])('writes a lifetime of %p s as Max-Age=%p', (seconds, maxAge) => {
    expect(serializeCookie(HOST, T, seconds)).toContain(`; Max-Age=${maxAge};`);
  });

  it('never writes an attribute twice', () => {
    const names = serializeCookie({ ...HOST, partitioned: true, domain: 'example.com' }, T, 60)
      .split('; ')
      .map((attribute) => attribute.split('=')[0]);

    expect(new Set(names).size).toBe(names.length);
  });
});

describe('serializeExpiredCookie', () => {
  it('writes an empty value that ended in 1970', () => {
    expect(serializeExpiredCookie(HOST)).toBe(
      '__Host-sid=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax',
    );
  });

  it.each<[string, Partial<ResolvedCookieOptions>]>([
    ['the default cookie', {}],
    ['a cookie with a domain and a path', { name: 'sid', domain: 'example.com', path: '/app' }],
    ['a partitioned cookie', { sameSite: 'none', partitioned: true }],
    ['a cookie without Secure', { name: 'sid', secure: false }],
  ])('repeats all other attributes of %s', (_, changes) => {
    const options = { ...HOST, ...changes };
    const attributes = (line: string) =>
      line.split('; ').filter((part) => !/^(Max-Age|Expires)=/.test(part) && !part.startsWith(`${options.name}=`));

    expect(attributes(serializeExpiredCookie(options))).toEqual(attributes(serializeCookie(options, T, 60)));
  });
});

describe('isCookieNamed', () => {
  it.each(['sid=1', 'sid=', 'sid=a=b', 'sid=1; Path=/', ' sid=1', 'sid =1', '\tsid\t=1; HttpOnly'])(
    'sees the name in %j',
    (line) => {
      expect(isCookieNamed(line, 'sid')).toBe(true);
    },
  );

  it.each([
    '',
    'sid',
    'sid; Path=/',
    '=sid',
    '=sid=1',
    'SID=1',
    'sid2=1',
    'xsid=1',
    'a=sid=1',
    'a=1; sid=2',
    'a; sid=1',
  ])('does not see it in %j', (line) => {
    expect(isCookieNamed(line, 'sid')).toBe(false);
  });
});
