import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { createToken } from '../core/token.js';
import { CookieSigner } from './cookie-signature.js';

const SECRET_A = 'a secret that is long enough: 0123456789';
const SECRET_B = 'b secret that is long enough: 0123456789';

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const token = createToken();

describe('[signature] CookieSigner with secrets', () => {
  const signer = new CookieSigner('sid', [SECRET_A]);
  const signed = signer.sign(token);
  const signature = signed.slice(token.length + 1);

  it('appends an HMAC-SHA-256 of purpose, name and token', () => {
    const hmac = createHmac('sha256', SECRET_A).update(`nestjs-typeorm-session.v1|sid|${token}`).digest('base64url');

    expect(signed).toBe(`${token}.${hmac}`);
  });

  it('gives the token back', () => {
    expect(signer.verify(signed)).toBe(token);
  });

  it.each([
    ['nothing', ''],
    ['a bare token', token],
    ['a token and a dot', `${token}.`],
    ['a signature without a token', `.${signature}`],
    ['a dot', '.'],
    ['a short signature', signed.slice(0, -1)],
    ['a long signature', `${signed}A`],
    ['a padded signature', `${signed}=`],
    ['two signatures', `${signed}.${signature}`],
    ['a lower-cased signature', `${token}.${signature.toLowerCase()}`],
    ['the signature in hex', `${token}.${Buffer.from(signature, 'base64url').toString('hex')}`],
    ['the signature in base64', `${token}.${Buffer.from(signature, 'base64url').toString('base64')}`],
    ['another separator', `${token}:${signature}`],
    ['no separator', `${token}${signature}`],
    ["another token's signature", `${createToken()}.${signature}`],
    ['a signature of 10 KB', `${token}.${'A'.repeat(10_240)}`],
    ['10 KB of dots', '.'.repeat(10_240)],
    ['a space before', ` ${signed}`],
    ['a space after', `${signed} `],
    ['a line feed after', `${signed}\n`],
    ['quotes', `"${signed}"`],
    ['a percent-encoded dot', signed.replace('.', '%2E')],
    ['a signed cookie of cookie-parser', `s:${signed}`],
    ['a JSON cookie of cookie-parser', `j:"${signed}"`],
    ['a JWT', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.'],
    ['an iron seal', 'Fe26.2**0cdd607945dd1dffb7da0b0bf5f1a7daa6218cbae14cac51dcbd91fb077aeb5b*aOZLCKLhCt0D5IU1'],
    ['letters beyond ASCII', `${'é'.repeat(43)}.${signature}`],
    ['letters beyond ASCII as signature', `${token}.${'é'.repeat(43)}`],
  ])('refuses %s', (_, value) => {
    expect(signer.verify(value)).toBeUndefined();
  });

  it('refuses every other last character, also those that decode to the same bytes', () => {
    const others = [...BASE64URL].filter((last) => !signed.endsWith(last));

    expect(others).toHaveLength(63);
    expect(others.map((last) => signer.verify(signed.slice(0, -1) + last))).toEqual(new Array(63).fill(undefined));
  });

  it('refuses a change of any single character', () => {
    for (let index = 0; index < signed.length; index++) {
      const other = signed[index] === 'A' ? 'B' : 'A';
      expect(signer.verify(`${signed.slice(0, index)}${other}${signed.slice(index + 1)}`)).toBeUndefined();
    }
  });

  it('refuses a text that it signed itself but that is no token', () => {
    expect(signer.verify(signer.sign('%'.repeat(43)))).toBeUndefined();
  });

  it('refuses a value signed for another cookie', () => {
    expect(signer.verify(new CookieSigner('__Host-sid', [SECRET_A]).sign(token))).toBeUndefined();
  });

  it('refuses a signature that does not name its purpose', () => {
    const hmac = createHmac('sha256', SECRET_A).update(token).digest('base64url');

    expect(signer.verify(`${token}.${hmac}`)).toBeUndefined();
  });

  it('shows no secret when it is printed', () => {
    const printed = inspect(signer, { showHidden: true, depth: 9 }) + JSON.stringify(signer);

    expect(printed).not.toContain(SECRET_A);
    expect(printed).not.toContain('secret that');
  });
});

describe('[signature] CookieSigner while secrets are rotated', () => {
  const old = new CookieSigner('sid', [SECRET_A]);
  const both = new CookieSigner('sid', [SECRET_B, SECRET_A]);
  const fresh = new CookieSigner('sid', [SECRET_B]);

  it('signs with the first secret', () => {
    expect(both.sign(token)).toBe(fresh.sign(token));
  });

  it('accepts what any of the secrets signed', () => {
    expect(both.verify(old.sign(token))).toBe(token);
    expect(both.verify(fresh.sign(token))).toBe(token);
  });

  it('refuses what a retired secret signed', () => {
    expect(fresh.verify(old.sign(token))).toBeUndefined();
  });
});

describe('[signature] CookieSigner without secrets', () => {
  const signer = new CookieSigner('sid', []);

  it('leaves the token as it is', () => {
    expect(signer.sign(token)).toBe(token);
    expect(signer.verify(token)).toBe(token);
  });

  it.each([
    ['nothing', ''],
    ['a signed token', new CookieSigner('sid', [SECRET_A]).sign(token)],
    ['a short token', token.slice(1)],
    ['a padded token', `${token}=`],
  ])('refuses %s', (_, value) => {
    expect(signer.verify(value)).toBeUndefined();
  });
});
