import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { addVaryCookie, replaceSetCookie, setNoStore, setPrivateIfUnset } from './response-headers.js';

let response: ServerResponse;

beforeEach(() => {
  response = new ServerResponse(new IncomingMessage(new Socket()));
});

describe('replaceSetCookie', () => {
  const LINE = 'sid=new; Path=/; HttpOnly';

  it('sets the line where there was none', () => {
    replaceSetCookie(response, 'sid', LINE);

    expect(response.getHeader('set-cookie')).toEqual([LINE]);
  });

  it.each<[string, string | string[]]>([
    ['one line', 'sid=old; Path=/'],
    ['an array of one line', ['sid=old; Path=/']],
    ['several lines', ['sid=older', 'sid=; Max-Age=0', 'sid=old; Path=/']],
    ['a line with blanks around the name', [' sid =old']],
  ])('replaces %s of our name', (_, existing) => {
    response.setHeader('Set-Cookie', existing);

    replaceSetCookie(response, 'sid', LINE);

    expect(response.getHeader('set-cookie')).toEqual([LINE]);
  });

  it.each<[string, string | string[], string[]]>([
    [
      'one line',
      'theme=dark; Expires=Thu, 01 Jan 2032 00:00:00 GMT',
      ['theme=dark; Expires=Thu, 01 Jan 2032 00:00:00 GMT'],
    ],
    ['lines around ours', ['a=1', 'sid=old', 'b=sid=2; Path=/'], ['a=1', 'b=sid=2; Path=/']],
    ['names that resemble ours', ['SID=1', 'sid2=1', 'xsid=1'], ['SID=1', 'sid2=1', 'xsid=1']],
    ['a cookie that is set twice', ['a=1', 'a=2; Path=/x'], ['a=1', 'a=2; Path=/x']],
  ])('keeps %s of other cookies', (_, existing, kept) => {
    response.setHeader('set-cookie', existing);

    replaceSetCookie(response, 'sid', LINE);

    expect(response.getHeader('set-cookie')).toEqual([...kept, LINE]);
  });

  it('has one line, the last, after several replacements', () => {
    for (const value of ['1', '2', '3']) replaceSetCookie(response, 'sid', `sid=${value}`);

    expect(response.getHeader('set-cookie')).toEqual(['sid=3']);
  });

  it('does not change an array that belongs to somebody else', () => {
    const lines = ['a=1', 'sid=old'];
    response.setHeader('Set-Cookie', lines);

    replaceSetCookie(response, 'sid', LINE);

    expect(lines).toEqual(['a=1', 'sid=old']);
  });
});

describe('addVaryCookie', () => {
  it.each<[string, string | string[] | undefined, string | string[]]>([
    ['nothing', undefined, 'Cookie'],
    ['an empty header', '', 'Cookie'],
    ['another field', 'Accept-Encoding', 'Accept-Encoding, Cookie'],
    ['several fields', 'Accept-Encoding,Origin', 'Accept-Encoding, Origin, Cookie'],
    ['an array', ['Accept', 'Origin'], 'Accept, Origin, Cookie'],
    ['a field that resembles it', 'Cookie2', 'Cookie2, Cookie'],
    ['itself', 'Cookie', 'Cookie'],
    ['itself in lower case', 'origin, cookie', 'origin, cookie'],
    ['itself in an array', ['Origin', 'COOKIE'], ['Origin', 'COOKIE']],
    ['everything', '*', '*'],
    ['everything among others', 'Origin, *', 'Origin, *'],
  ])('adds to %s', (_, existing, expected) => {
    if (existing !== undefined) response.setHeader('Vary', existing);

    addVaryCookie(response);
    addVaryCookie(response);

    expect(response.getHeader('vary')).toEqual(expected);
  });
});

describe('setNoStore', () => {
  it.each(['no-store', 'private, No-Store, no-transform'])('leaves %p', (existing) => {
    response.setHeader('cache-control', existing);

    setNoStore(response);

    expect(response.getHeader('Cache-Control')).toBe(existing);
  });

  it.each([undefined, 'public, max-age=31536000, immutable', 'private', 'x-no-store'])('replaces %p', (existing) => {
    if (existing !== undefined) response.setHeader('cache-control', existing);

    setNoStore(response);

    expect(response.getHeader('Cache-Control')).toBe('no-store');
  });
});

describe('setPrivateIfUnset', () => {
  it('sets private where the handler said nothing', () => {
    setPrivateIfUnset(response);

    expect(response.getHeader('Cache-Control')).toBe('private');
  });

  it.each(['no-store', 'public, max-age=60', ''])('leaves %p', (existing) => {
    response.setHeader('Cache-Control', existing);

    setPrivateIfUnset(response);

    expect(response.getHeader('Cache-Control')).toBe(existing);
  });
});
