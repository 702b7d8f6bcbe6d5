// Written by hand for this one purpose: what statements that are shared cost at least, without expiry, hashes, limits, a
// response that waits, or anything else that a session does. Between it and `ours` lies what that costs; nobody who shares
// statements on this machine gets further.
import { randomBytes } from 'node:crypto';
import { createParamDecorator } from '@nestjs/common';
import pg from 'pg';
import { POOL_SIZE } from '../../variants.mjs';

const SELECT = 'SELECT token, data::text FROM handmade WHERE token = ANY($1)';
const UPDATE =
  'UPDATE handmade SET data = data || delta::jsonb FROM unnest($1::text[], $2::text[]) AS changed (id, delta) WHERE token = id';
const INSERT = { name: 'insert', text: 'INSERT INTO handmade (token, data) VALUES ($1, $2)' };
const AT_ONCE = 2;

export async function openDoor({ url }) {
  const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
  await pool.query('CREATE TABLE IF NOT EXISTS handmade (token text PRIMARY KEY, data jsonb NOT NULL)');
  const load = shared(async (tokens) => {
    const { rows } = await pool.query({ text: SELECT, values: [tokens], rowMode: 'array' });
    const found = new Map(rows);
    return tokens.map((token) => found.get(token));
  });
  const store = shared(async (changes) => {
    // Of two changes of one session an UPDATE takes either: the last one goes last, and the others before.
    for (let left = changes; left.length > 0;) {
      const now = new Map(left.map((change) => [change.token, change]));
      const texts = [...now.values()].map(({ delta }) => delta);
      await pool.query({ text: UPDATE, values: [[...now.keys()], texts] });
      left = left.filter((change) => now.get(change.token) !== change);
    }
    return changes;
  });
  return {
    prepare: (app) => app.useGlobalGuards({ canActivate: (context) => open(load, context) }),
    Parameter: createParamDecorator((_, context) => context.switchToHttp().getRequest().handmade),
    get: ({ data }, key) => data?.[key],
    set: ({ token }, key, value) => store({ token, delta: JSON.stringify({ [key]: value }) }),
    async signIn({ response }, data) {
      const token = randomBytes(32).toString('base64url');
      await pool.query({ ...INSERT, values: [token, JSON.stringify(data)] });
      response.header('Set-Cookie', `sid=${token}; Path=/; HttpOnly; SameSite=Lax`);
    },
  };
}

async function open(load, context) {
  const request = context.getArgByIndex(0);
  const token = /(?:^|; )sid=([\w-]{43})(?:;|$)/.exec(request.headers.cookie)?.[1];
  const text = token && (await load(token));
  request.handmade = { token, data: text && JSON.parse(text), response: context.getArgByIndex(1) };
  return true;
}

/** Calls of one turn of the event loop, and those that come while two are under way, become one. */
function shared(send) {
  let waiting = [];
  let underWay = 0;
  let isScheduled = false;
  const flush = async () => {
    isScheduled = false;
    if (waiting.length === 0 || underWay >= AT_ONCE) return;
    const batch = waiting;
    waiting = [];
    underWay++;
    try {
      const answers = await send(batch.map(({ member }) => member));
      batch.forEach(({ resolve }, index) => resolve(answers[index]));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      underWay--;
      schedule();
    }
  };
  const schedule = () => {
    if (isScheduled || underWay >= AT_ONCE) return;
    isScheduled = true;
    setImmediate(() => void flush());
  };
  return (member) =>
    new Promise((resolve, reject) => {
      waiting.push({ member, resolve, reject });
      schedule();
    });
}
