// What is compared. The options are what really runs, and they are printed into the JSON: those of rivals as their
// documentation tells production users to set them.

const DAY = 24 * 60 * 60 * 1000;
const SECRET = 'a secret of the benchmark, 32 bytes or more';

/** node-postgres' default, and so the one of all that are built on it. Redis clients send everything over one. */
export const POOL_SIZE = 10;

const EXPRESS_SESSION = { secret: SECRET, resave: false, saveUninitialized: false };
const FASTIFY_SESSION = { secret: SECRET, saveUninitialized: false, cookie: { secure: false } };
const PG_SIMPLE = { ...EXPRESS_SESSION, cookie: { maxAge: 30 * DAY } };

/** As the README has them. */
const MIGRATIONS = ['CreateSessions1764000000000', 'CreateSessionFunctions1764300000000'];

const EXPRESS_PROTOTYPES = 'on Express as ours makes its requests and responses: what a session costs is the rest';

const OURS = { guardAll: true, cookie: { secure: false } };

/**
 * @typedef {object} Variant
 * @property {string} name
 * @property {string} door the module in server/doors
 * @property {string[]} platforms
 * @property {'postgres' | 'redis'} [database] none where it keeps nothing
 * @property {boolean} [quick] whether `--quick` runs it too
 * @property {string} [injected] what of ours the controller gets by its constructor, instead of `@Session()`
 * @property {string[]} [migrations] of ours
 * @property {object} options
 */

/** @type {Variant[]} */
export const VARIANTS = [
  { name: 'bare', door: 'bare', platforms: ['express', 'fastify'], quick: true, options: {} },
  {
    name: 'bare (prototypes)',
    door: 'bare',
    platforms: ['express'],
    options: { expressPrototypes: EXPRESS_PROTOTYPES },
  },
  {
    name: 'bare (guard)',
    door: 'bare',
    platforms: ['express', 'fastify'],
    options: {
      expressPrototypes: EXPRESS_PROTOTYPES,
      guard:
        'lets everybody pass and sets the two headers of a session; a parameter, and no session: the least it can cost',
    },
  },
  {
    name: 'select',
    door: 'select',
    platforms: ['express', 'fastify'],
    database: 'postgres',
    quick: true,
    options: { statements: 'named prepared statements: one SELECT by primary key, one UPDATE of one key' },
  },
  {
    name: 'shared',
    door: 'shared',
    platforms: ['express', 'fastify'],
    database: 'postgres',
    quick: true,
    options: { statements: 'the same by hand, shared by the requests of one turn: nothing else that a session does' },
  },
  ours('ours', OURS, { quick: true }),
  ours('ours (cache)', { ...OURS, cache: {} }, { quick: true }),
  ours('ours (prepared)', { ...OURS, preparedStatements: true }, { quick: true }),
  ours('ours (without functions)', OURS, { migrations: MIGRATIONS.slice(0, 1) }),
  ours('ours (without prototypes)', { ...OURS, expressPrototypes: false }, { platforms: ['express'] }),
  ours('ours (signed)', { ...OURS, secrets: [SECRET] }),
  ours('ours (CurrentSession)', { ...OURS, currentSession: true }, { injected: 'CurrentSession' }),
  ours('ours (SessionService)', OURS, { injected: 'SessionService' }),
  expressSession('connect-pg-simple', 'postgres', PG_SIMPLE, {}),
  expressSession('connect-pg-simple', 'postgres', PG_SIMPLE, { disableTouch: true }, ' (touch off)'),
  expressSession('connect-typeorm', 'postgres', EXPRESS_SESSION, { cleanupLimit: 2, ttl: DAY / 1000 }),
  expressSession('connect-redis', 'redis', EXPRESS_SESSION, { prefix: 'bench:' }),
  fastifySession('connect-redis', 'redis', FASTIFY_SESSION, { prefix: 'bench:' }),
  fastifySession('connect-pg-simple', 'postgres', FASTIFY_SESSION, {}),
];

function ours(name, options, rest = {}) {
  const platforms = ['express', 'fastify'];
  return { name, door: 'ours', platforms, database: 'postgres', migrations: MIGRATIONS, options, ...rest };
}

function expressSession(store, database, session, storeOptions, suffix = '') {
  return {
    name: `express-session + ${store}${suffix}`,
    door: 'express-session',
    platforms: ['express'],
    database,
    quick: true,
    options: { store, session, storeOptions },
  };
}

function fastifySession(store, database, session, storeOptions) {
  return {
    name: `@fastify/session + ${store}`,
    door: 'fastify-session',
    platforms: ['fastify'],
    database,
    quick: true,
    options: { store, session, storeOptions },
  };
}

/** @param {{ only?: string, quick: boolean }} options `only` lists names, separated by commas */
export function chooseVariants({ only, quick }) {
  if (only === undefined) return VARIANTS.filter((variant) => !quick || variant.quick);
  const names = only.split(',').map((name) => name.trim());
  for (const name of names) {
    if (VARIANTS.some((variant) => variant.name === name)) continue;
    throw new Error(`"${name}" is no variant. There are:\n${VARIANTS.map((variant) => variant.name).join('\n')}`);
  }
  return VARIANTS.filter(({ name }) => names.includes(name));
}
