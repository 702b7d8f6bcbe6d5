// Lists which line of the contract is tested on which platform, and fails a complete run where one is missing.
// A test carries a line by naming it: `[line 4] …`, inside a describe block whose title ends in the platform.

const LINES = Array.from({ length: 10 }, (_, index) => `line ${index + 1}`);
const PLATFORMS = ['express', 'fastify'];

/** MySQL is not among them: its tests run only where a server is named. */
const DATABASES = ['PostgreSQL', 'MariaDB', 'an SQLite file', 'sql.js'];
/** Not line 8, which is about asking no database, and not line 9, whose outages are provoked on PostgreSQL. */
const LINES_OF_DATABASES = [1, 2, 3, 4, 5, 6, 7, 10].map((line) => `line ${line}`);

/** The answers of the design that this release has to give, by the name that their tests carry: `[answer: flash] …`. */
const ANSWERS = [
  'a write belongs to its token',
  'late answers',
  'no row yet',
  'after the first byte',
  'client hung up',
  'deadline',
  'clear',
  'defaults',
  'schema',
  'static options',
  'guard before ours',
  'gone',
  'save in mid-request',
  'atomic on unsaved',
  'two first requests',
  'insert at the edge fails',
  'destroy then set',
  'touch',
  'looked at',
  'ambiguous commit',
  'frozen response',
  'errors are http exceptions',
  'entity of its own',
  'always global',
  'schedule once',
  'canary',
  'call order',
  'set keeps a reference',
  'two live cookies',
  'remember me',
  'flash',
  'secure',
  'pool of one',
  'contexts',
  'one module',
  'save with manager',
  'self-check',
  'the primary',
];

export default class ContractReporter {
  #isWhole;
  #error;

  constructor({ nonFlagArgs, testNamePattern, onlyChanged, shard }) {
    const isOneProject = process.argv.some((argument) => argument.startsWith('--selectProjects'));
    this.#isWhole = nonFlagArgs.length === 0 && !testNamePattern && !onlyChanged && !shard && !isOneProject;
  }

  onRunComplete(_contexts, results) {
    if (!this.#isWhole) return;
    const tests = results.testResults.flatMap((file) => file.testResults);
    const namesOf = (status) => tests.filter((test) => test.status === status).map((test) => test.fullName);
    const passed = namesOf('passed');
    // What a machine lacks shows as skipped tests, and those fail CI.
    const databases = DATABASES.filter(
      (database) => !namesOf('pending').some((name) => name.includes(`in ${database} `)),
    );
    console.log(table(passed, databases));
    const missing = [...missingLines(passed), ...missingAnswers(passed), ...missingIn(databases, passed)];
    if (missing.length > 0) this.#error = new Error(`no passing test carries: ${missing.join(', ')}`);
  }

  getLastError() {
    return this.#error;
  }
}

function count(passed, tag, platform) {
  return passed.filter((name) => name.includes(`[${tag}]`) && (!platform || name.includes(`on ${platform}`))).length;
}

function missingLines(passed) {
  return LINES.flatMap((line) =>
    PLATFORMS.filter((platform) => count(passed, line, platform) === 0).map((platform) => `${line} on ${platform}`),
  );
}

function missingIn(databases, passed) {
  const places = databases.flatMap((database) => PLATFORMS.map((platform) => `in ${database} on ${platform}`));
  return places.flatMap((place) => {
    const here = passed.filter((name) => name.includes(place));
    return LINES_OF_DATABASES.filter((line) => count(here, line) === 0).map((line) => `${line} ${place}`);
  });
}

function missingAnswers(passed) {
  return ANSWERS.filter((answer) => count(passed, `answer: ${answer}`) === 0).map((answer) => `answer: ${answer}`);
}

function table(passed, databases) {
  const row = (line) =>
    `  ${line.padEnd(8)} ${PLATFORMS.map((platform) => String(count(passed, line, platform)).padStart(7)).join(' ')}`;
  return [
    '\nTests by line of the contract',
    `  ${''.padEnd(8)} ${PLATFORMS.map((platform) => platform.padStart(7)).join(' ')}`,
    ...LINES.map(row),
    ...databases.map((database) => {
      const here = passed.filter((name) => name.includes(`in ${database} on `));
      return `  in ${database}: ${LINES_OF_DATABASES.reduce((sum, line) => sum + count(here, line), 0)}`;
    }),
    `  ${ANSWERS.length - missingAnswers(passed).length} of ${ANSWERS.length} answers\n`,
  ].join('\n');
}
