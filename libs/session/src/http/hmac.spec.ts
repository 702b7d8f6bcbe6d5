import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { Hmac } from './hmac.js';

describe('[signature] Hmac', () => {
  it.each([1, 31, 32, 63, 64, 65, 127, 128, 200])("is Node's HMAC-SHA-256, with a key of %d bytes", (length) => {
    const secret = Array.from({ length }, (_, index) => String.fromCharCode(33 + ((index * 7) % 90))).join('');
    const hmac = new Hmac(secret);
    for (const text of ['', 'a', 'x'.repeat(55), 'x'.repeat(64), 'x'.repeat(1000), 'Größe 😀']) {
      expect(hmac.digest(text)).toBe(createHmac('sha256', secret).update(text).digest('base64url'));
    }
  });

  it('puts the prefix in front, whatever was digested before', () => {
    const hmac = new Hmac('secret', 'Präfix|');
    for (const text of ['short', 'a longer text', 'short', '', 'other']) {
      expect(hmac.digest(text)).toBe(createHmac('sha256', 'secret').update(`Präfix|${text}`).digest('base64url'));
    }
  });

  it('takes the key as UTF-8', () => {
    expect(new Hmac('schlüssel 😀').digest('text')).toBe(
      createHmac('sha256', 'schlüssel 😀').update('text').digest('base64url'),
    );
  });

  // https://www.rfc-editor.org/rfc/rfc4231#section-4.3
  it('agrees with RFC 4231', () => {
    expect(Buffer.from(new Hmac('Jefe').digest('what do ya want for nothing?'), 'base64url').toString('hex')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  it('does not show its key', () => {
    const hmac = new Hmac('a secret of many letters');
    hmac.digest('text');
    expect(inspect(hmac, { depth: 9, showHidden: true })).toBe('Hmac {}');
  });
});
