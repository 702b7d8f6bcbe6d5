import { existsSync } from 'node:fs';

const swc = {
  sourceMaps: 'inline',
  module: { type: 'es6' },
  jsc: {
    target: 'es2022',
    keepClassNames: true,
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
  },
};

const project = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', swc] },
  moduleNameMapper: {
    '^nestjs-typeorm-session$': '<rootDir>/libs/session/src/index.ts',
    '^nestjs-typeorm-session/express-session$': '<rootDir>/libs/session/src/express-session/index.ts',
    '^nestjs-typeorm-session/testing$': '<rootDir>/libs/session/src/testing/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
};

/** Tests that start several processes or whole clusters, for minutes: part of a run only where it names them. */
const PROCESSES = 'test/(clusters|cache|command)/';
const namesProcesses = process.argv.some((word) => word === 'processes' || new RegExp(PROCESSES).test(`${word}/`));

const contractReporter = `${import.meta.dirname}/test/support/contract-reporter.mjs`;

export default {
  // Here and not in a project: a project's set-up runs once per project, and both share one server.
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  // By default one core is left out, and on a machine with two that is half of them: the tests wait for databases mostly.
  maxWorkers: '100%',
  // Five seconds are not enough to start an application on a busy machine.
  testTimeout: 20_000,
  reporters: existsSync(contractReporter) ? ['default', contractReporter] : ['default'],
  collectCoverageFrom: ['libs/*/src/**/*.ts', 'src/**/*.ts', '!**/*.spec.ts'],
  coverageProvider: 'v8',
  projects: [
    {
      ...project,
      displayName: 'unit',
      testMatch: ['<rootDir>/{libs,src}/**/*.spec.ts', '<rootDir>/test/unit/**/*.spec.ts'],
    },
    {
      ...project,
      displayName: 'e2e',
      testMatch: ['<rootDir>/test/**/*.e2e-spec.ts'],
      testPathIgnorePatterns: ['/node_modules/', `<rootDir>/${PROCESSES}`],
    },
    ...(namesProcesses
      ? [
          {
            ...project,
            displayName: 'processes',
            testMatch: ['clusters', 'cache', 'command'].map((folder) => `<rootDir>/test/${folder}/**/*.e2e-spec.ts`),
          },
        ]
      : []),
  ],
};
