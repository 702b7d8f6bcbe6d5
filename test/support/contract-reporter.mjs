// Lists which line of the contract is tested on which platform, and fails a complete run where one is missing.
// A test carries a line by naming it: `[line 4] …`, inside a describe block whose title ends in the platform.

const LINES = Array.from({ length: 10 }, (_, index) => `line ${index + 1}`);
const PLATFORMS = ['express', 'fastify'];

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
    const passed = results.testResults
      .flatMap((file) => file.testResults)
      .filter((test) => test.status === 'passed')
      .map((test) => test.fullName);
    console.log(table(passed));
    const missing = [...missingLines(passed), ...missingAnswers(passed)];
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

function missingAnswers(passed) {
  return ANSWERS.filter((answer) => count(passed, `answer: ${answer}`) === 0).map((answer) => `answer: ${answer}`);
}

function table(passed) {
  const row = (line) =>
    `  ${line.padEnd(8)} ${PLATFORMS.map((platform) => String(count(passed, line, platform)).padStart(7)).join(' ')}`;
  return [
    '\nTests by line of the contract',
    `  ${''.padEnd(8)} ${PLATFORMS.map((platform) => platform.padStart(7)).join(' ')}`,
    ...LINES.map(row),
    `  ${ANSWERS.length - missingAnswers(passed).length} of ${ANSWERS.length} answers\n`,
  ].join('\n');
}
