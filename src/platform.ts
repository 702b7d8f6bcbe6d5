import type { AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';

const ADAPTERS = {
  express: () => new ExpressAdapter(),
  fastify: () => new FastifyAdapter(),
} satisfies Record<string, () => AbstractHttpAdapter>;

export type Platform = keyof typeof ADAPTERS;

export function readPlatform(env: NodeJS.ProcessEnv = process.env): Platform {
  const name = env.PLATFORM ?? 'express';
  if (!Object.hasOwn(ADAPTERS, name)) {
    throw new Error(`PLATFORM is "${name}"; it must be one of: ${Object.keys(ADAPTERS).join(', ')}.`);
  }
  return name as Platform;
}

export function createAdapter(platform: Platform): AbstractHttpAdapter {
  return ADAPTERS[platform]();
}
