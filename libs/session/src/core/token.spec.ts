import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { createToken, hashToken, isToken, TOKEN_LENGTH } from './token.js';

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('createToken', () => {
  const tokens = Array.from({ length: 20_000 }, () => createToken());

  it('gives 43 characters of base64url that hold 32 bytes', () => {
    expect(tokens.every(isToken)).toBe(true);
    expect(new Set(tokens.map((token) => token.length))).toEqual(new Set([TOKEN_LENGTH]));
    expect(tokens.every((token) => Buffer.from(token, 'base64url').length === 32)).toBe(true);
  });

  it('never gives the same token twice', () => {
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  it('sets each of the 256 bits about half of the time', () => {
    const bytes = tokens.map((token) => Buffer.from(token, 'base64url'));
    const share = (bit: number) => bytes.filter((b) => b.readUInt8(bit >> 3) & (1 << (bit & 7))).length / bytes.length;
    const shares = Array.from({ length: 256 }, (_, bit) => share(bit));

    // More than six standard deviations of 20 000 draws: less than one false alarm in a million runs.
    expect(Math.min(...shares)).toBeGreaterThan(0.478);
    expect(Math.max(...shares)).toBeLessThan(0.522);
  });
});

describe('isToken', () => {
  const token = createToken();

  it('accepts a token', () => {
    expect(isToken(token)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['42 characters', token.slice(1)],
    ['44 characters', `${token}A`],
    ['padding', `${token}=`],
    ['double padding', `${token}==`],
    ['a space before', ` ${token.slice(1)}`],
    ['a space after', `${token.slice(1)} `],
    ['a tab inside', `${token.slice(0, 20)}\t${token.slice(21)}`],
    ['a line feed after', `${token}\n`],
    ['a line feed as the last character', `${token.slice(1)}\n`],
    ['a NUL', `${token.slice(1)}\0`],
    ['quotes', `"${token}"`],
    ['percent-encoding', `%41${token.slice(3)}`],
    ['base64 instead of base64url', `+/${token.slice(2)}`],
    ['letters beyond ASCII', `é${token.slice(1)}`],
    ['a fullwidth letter', `\uff21${token.slice(1)}`],
    ['a UUID', '0b9e4a3c-3a52-4f0e-9d8d-6cf1b1f3c6a1'],
    ['a signature', `${token}.${token}`],
    ['64 KB', 'A'.repeat(65_536)],
    ['SQL', "' OR 1=1--"],
    ['an object', '[object Object]'],
  ])('refuses %s', (_, value) => {
    expect(isToken(value)).toBe(false);
  });
});

describe('hashToken', () => {
  it('is the SHA-256 of the text', () => {
    expect(hashToken('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('does not hash the decoded bytes', () => {
    const token = createToken();

    expect(hashToken(token)).not.toEqual(createHash('sha256').update(Buffer.from(token, 'base64url')).digest());
  });

  it('differs for every other last character, also for those that decode to the same bytes', () => {
    const start = createToken().slice(0, -1);
    const hashes = [...BASE64URL].map((last) => hashToken(start + last).toString('hex'));

    expect(new Set(hashes).size).toBe(64);
  });
});
