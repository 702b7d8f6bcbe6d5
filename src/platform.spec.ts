import { describe, expect, it } from '@jest/globals';
import { readPlatform } from './platform.js';

describe('readPlatform', () => {
  it('is Express where nothing is said', () => {
    expect(readPlatform({})).toBe('express');
    expect(readPlatform({ PLATFORM: 'fastify' })).toBe('fastify');
  });

  it.each(['koa', '', 'toString'])('refuses %j with a sentence', (name) => {
    expect(() => readPlatform({ PLATFORM: name })).toThrow(
      `PLATFORM is "${name}"; it must be one of: express, fastify.`,
    );
  });
});
