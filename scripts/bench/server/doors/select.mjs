// Written by hand for this one purpose: what one statement per request costs at least, without expiry, hashes, limits or
// anything else that a session does.
import { randomBytes } from 'node:crypto';
import { createParamDecorator } from '@nestjs/common';
import pg from 'pg';
import { POOL_SIZE } from '../../variants.mjs';

const SELECT = { name: 'select', text: 'SELECT data FROM handmade WHERE token = $1' };
const UPDATE = { name: 'update', text: 'UPDATE handmade SET data = data || $2::jsonb WHERE token = $1' };
const INSERT = { name: 'insert', text: 'INSERT INTO handmade (token, data) VALUES ($1, $2)' };

export async function openDoor({ url }) {
  const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
  await pool.query('CREATE TABLE IF NOT EXISTS handmade (token text PRIMARY KEY, data jsonb NOT NULL)');
  return {
    prepare: (app) => app.useGlobalGuards({ canActivate: (context) => open(pool, context) }),
    Parameter: createParamDecorator((_, context) => context.switchToHttp().getRequest().handmade),
    get: ({ data }, key) => data?.[key],
    set: ({ token }, key, value) => pool.query({ ...UPDATE, values: [token, JSON.stringify({ [key]: value })] }),
    async signIn({ response }, data) {
      const token = randomBytes(32).toString('base64url');
      await pool.query({ ...INSERT, values: [token, JSON.stringify(data)] });
      response.header('Set-Cookie', `sid=${token}; Path=/; HttpOnly; SameSite=Lax`);
    },
  };
}

async function open(pool, context) {
  const http = context.switchToHttp();
  const request = http.getRequest();
  const token = /(?:^|; )sid=([\w-]{43})(?:;|$)/.exec(request.headers.cookie)?.[1];
  const data = token && (await pool.query({ ...SELECT, values: [token] })).rows[0]?.data;
  request.handmade = { token, data, response: http.getResponse() };
  return true;
}
