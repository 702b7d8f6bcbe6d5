import { describe, expect, it } from '@jest/globals';
import { cookieText, lifetimeFor, loadedCookie, maxAgeOf, steady } from './session-cookie.js';

const HOUR = 3_600_000;
const DEFAULTS = { idleTimeout: 24 * HOUR, absoluteTimeout: 48 * HOUR, persistent: true };

describe('cookieText', () => {
  it('leaves out when the cookie ends, and keeps one order of keys', () => {
    const cookie = { path: '/', originalMaxAge: HOUR, expires: new Date(), httpOnly: true, domain: undefined };
    const text = cookieText(cookie, HOUR);
    expect(text).toBe('{"httpOnly":true,"originalMaxAge":3600000,"path":"/"}');
    expect(cookieText({ httpOnly: true, path: '/', originalMaxAge: HOUR }, HOUR)).toBe(text);
  });

  it('asks a cookie of express-session for its JSON', () => {
    const cookie = { secret: 1, toJSON: () => ({ originalMaxAge: null, path: '/' }) };
    expect(cookieText(cookie, undefined)).toBe('{"originalMaxAge":null,"path":"/"}');
  });

  it('takes what is no cookie for an empty one', () => {
    expect([undefined, null].map((none) => cookieText(none, undefined))).toEqual(['{}', '{}']);
  });
});

describe('loadedCookie', () => {
  it('ends when the row does, if it outlives the browser', () => {
    const before = Date.now();
    const { expires } = loadedCookie({ originalMaxAge: HOUR, path: '/' }, 1_000);
    expect(Number(expires)).toBeGreaterThanOrEqual(before + 1_000);
    expect(Number(expires)).toBeLessThanOrEqual(Date.now() + 1_000);
    expect(loadedCookie({ originalMaxAge: null, path: '/a' }, 1_000)).toEqual({
      originalMaxAge: null,
      path: '/a',
      expires: null,
    });
  });

  it('makes one where the row has none', () => {
    for (const none of [undefined, null, 'text', []]) {
      expect(loadedCookie(none, 1_000)).toEqual({ originalMaxAge: null, expires: null });
    }
  });
});

describe('maxAgeOf', () => {
  it('is a number or nothing', () => {
    expect(maxAgeOf({ originalMaxAge: 5 })).toBe(5);
    for (const other of [undefined, null, false, '5', Number.NaN]) {
      expect(maxAgeOf({ originalMaxAge: other })).toBeUndefined();
    }
  });
});

describe('steady', () => {
  it('[express: drift] takes no drift for a change, and a part of a short maxAge for none', () => {
    expect(steady(HOUR - 1, HOUR)).toBe(HOUR);
    expect(steady(HOUR - 1_001, HOUR)).toBe(HOUR - 1_001);
    expect(steady(499, 500)).toBe(500);
    expect(steady(400, 500)).toBe(400);
    expect(steady(undefined, HOUR)).toBeUndefined();
    expect(steady(HOUR, undefined)).toBe(HOUR);
  });
});

describe('lifetimeFor', () => {
  it('is what the cookie says, and no longer than a session lives', () => {
    expect(lifetimeFor(undefined, DEFAULTS)).toEqual({ idleTimeout: 24 * HOUR, persistent: false });
    expect(lifetimeFor(HOUR, DEFAULTS)).toEqual({ idleTimeout: HOUR, persistent: true });
    expect(lifetimeFor(49 * HOUR, DEFAULTS)).toEqual({ idleTimeout: 48 * HOUR, persistent: true });
    expect(lifetimeFor(Number.POSITIVE_INFINITY, DEFAULTS).idleTimeout).toBe(48 * HOUR);
  });

  it('ends a session at once whose cookie is over', () => {
    for (const past of [0, -5]) expect(lifetimeFor(past, DEFAULTS)).toEqual({ idleTimeout: 1, persistent: true });
  });
});
