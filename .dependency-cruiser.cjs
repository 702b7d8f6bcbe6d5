// Which way imports may point. `npm run lint` checks it.
//
//   nest -> { http, storage, maintenance } -> core
//                                 testing -> core
//   command -> { storage, maintenance } -> core
//   express-session -> { storage, maintenance } -> core
//
// A ring's list names all that it may import; what is not named is refused, packages and Node's modules too. Types count
// like values. The unit tests beside the sources may use what they need from outside, but keep to the rings.

const lib = '^libs/session/src/';
const inLib = (name) => `${lib}${name}/`;
const unitTest = '\\.spec\\.ts$';
const rings = ['core', 'storage', 'http', 'maintenance', 'nest', 'testing', 'command', 'express-session'];

const ring = (name, { rings: inner, packages = [], node = false }) => [
  {
    name: `${name}-imports-only`,
    comment: `${name}/ imports ${[name, ...inner, ...packages, ...(node ? ['modules of Node'] : [])].join(', ')}`,
    severity: 'error',
    from: { path: inLib(name), pathNot: unitTest },
    to: {
      pathNot: [name, ...inner].map(inLib).concat(packages),
      ...(node && { dependencyTypesNot: ['core'] }),
    },
  },
  {
    name: `${name}-tests-keep-to-rings`,
    comment: `the unit tests of ${name}/ import no outer ring`,
    severity: 'error',
    from: { path: `${inLib(name)}.*${unitTest}` },
    to: { path: rings.filter((other) => other !== name && !inner.includes(other)).map(inLib) },
  },
];

module.exports = {
  forbidden: [
    ...ring('core', { rings: [], packages: ['^(node:)?crypto$'] }),
    ...ring('storage', { rings: ['core'], packages: ['^node_modules/(typeorm|lru-cache)/'], node: true }),
    ...ring('http', { rings: ['core'], node: true }),
    ...ring('maintenance', { rings: ['core'], node: true }),
    ...ring('command', {
      rings: ['core', 'storage', 'maintenance'],
      packages: ['^node_modules/typeorm/'],
      node: true,
    }),
    ...ring('express-session', {
      rings: ['core', 'storage', 'maintenance'],
      packages: ['^node_modules/(@types/)?express-session/', '^node_modules/typeorm/'],
      node: true,
    }),
    ...ring('testing', { rings: ['core'], packages: ['^node_modules/fast-check/'], node: true }),
    {
      name: 'testing-is-for-tests',
      comment:
        'what an application runs never loads testing/, which is an entrance of its own: nestjs-typeorm-session/testing',
      severity: 'error',
      from: { path: lib, pathNot: inLib('testing') },
      to: { path: inLib('testing') },
    },
    {
      name: 'express-session-is-apart',
      comment:
        'who does not use the package express-session does not have it: its store is an entrance of its own, nestjs-typeorm-session/express-session',
      severity: 'error',
      from: { path: lib, pathNot: inLib('express-session') },
      to: { path: inLib('express-session') },
    },
    {
      name: 'command-is-a-program',
      comment: 'command/ is what npx runs; importing it would run it',
      severity: 'error',
      from: { path: lib, pathNot: inLib('command') },
      to: { path: inLib('command') },
    },
    {
      name: 'index-is-the-outside',
      comment: 'index.ts lists the public names for others; inside, import the file that has the name',
      severity: 'error',
      from: { path: lib },
      to: { path: `${lib}index\\.ts$` },
    },
    {
      name: 'lib-stands-alone',
      comment: 'the library is a package of its own, and knows neither the reference application nor its tests',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: ['^src/', '^test/', '^ormconfig', '^scripts/'] },
    },
    {
      name: 'app-uses-the-package',
      comment: 'the application imports the library as its users do, by the name nestjs-typeorm-session',
      severity: 'error',
      from: { path: ['^src/', '^ormconfig'] },
      to: { path: '^libs/', dependencyTypesNot: ['aliased'] },
    },
    {
      name: 'app-without-tests',
      comment: 'what is built does not need test/',
      severity: 'error',
      from: { path: ['^src/', '^ormconfig'], pathNot: unitTest },
      to: { path: '^test/' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'resolves',
      comment: 'an import that is not found is an import that no rule sees',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['^dist/', '^libs/session/dist/', '^test/move/'] },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.d.ts', '.json'],
    },
  },
};
