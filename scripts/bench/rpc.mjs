// Questions to a child process, one at a time.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/**
 * @param {string} name for messages
 * @param {URL} module
 * @param {object} options its first argument
 * @param {string[]} flags of Node
 * @returns {{ hello: Promise<object>, ask(question: object, deadline?: number): Promise<any>, stop(): Promise<void> }}
 *   `hello` is what it says first of itself
 */
export function startChild(name, module, options = {}, flags = []) {
  const child = fork(fileURLToPath(module), [JSON.stringify(options)], {
    env: { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '' },
    execArgv: flags,
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${name} ended with ${code ?? signal}`);
  });
  // It matters to whoever waits for an answer.
  ended.catch(() => {});
  const answer = async (deadline) => {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${name} does not answer`)), deadline);
    });
    try {
      const [message] = await Promise.race([once(child, 'message'), ended, late]);
      if (message.error) throw new Error(`${name}: ${message.error}`);
      return message;
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    hello: answer(60_000),
    ask(question, deadline = 60_000) {
      const answered = answer(deadline);
      child.send(question);
      return answered;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      // All of them end when their channel closes; what hangs is none of our business any more.
      if (child.connected) child.disconnect();
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** The other side of it. @param {(question: object) => Promise<object> | object} answer */
export function answerParent(hello, answer) {
  const attempt = async (question) => answer(question);
  process.on('message', (question) => {
    attempt(question).then(
      (message) => process.send(message),
      (error) => process.send({ error: error.stack }),
    );
  });
  process.once('disconnect', () => process.exit());
  process.send(hello);
}
