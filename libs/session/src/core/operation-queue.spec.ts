import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { describeError, type SessionFault } from './errors.js';
import { OperationQueue } from './operation-queue.js';

const fault = (): SessionFault => Object.assign(new Error('gone'), { session: describeError('SESSION_GONE') });

/** What a process prints that runs `code` with a queue, and ends as Node ends it. A test of Jest does not hear of rejections that nobody handles. */
function inProcess(code: string): string {
  const script = `
    import { OperationQueue } from ${JSON.stringify(new URL('./operation-queue.ts', import.meta.url).href)};
    process.on('unhandledRejection', (error) => console.log('unhandled:', error.message));
    const queue = new OperationQueue();
    const fault = (message) => Object.assign(new Error(message), { session: {} });
    ${code}`;
  const flags = ['--import', 'tsx', '--input-type=module', '--eval', script];
  return execFileSync(process.execPath, flags, { encoding: 'utf8' }).trim();
}

describe('OperationQueue', () => {
  it('gives each operation its turn after those that were called before, and runs up to there at once', async () => {
    const queue = new OperationQueue();
    const order: string[] = [];
    const operation = (name: string, milliseconds: number) =>
      queue.start(async (turn) => {
        order.push(`${name} called`);
        await turn;
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
        order.push(`${name} done`);
      });
    await Promise.all([operation('slow', 15), operation('fast', 0)]);
    expect(order).toEqual(['slow called', 'fast called', 'slow done', 'fast done']);
    while (queue.running) await queue.running;
  });

  it('keeps the first session error, and takes it for handled where nobody awaits it', () => {
    const heard = inProcess(`
      void queue.start(() => Promise.reject(fault('first')));
      void queue.start(() => Promise.reject(fault('second')));
      while (queue.running) await queue.running;
      console.log('kept:', queue.rejected.message);`);
    expect(heard).toBe('kept: first');
  });

  it("leaves the application's own error to its caller, as any promise does", async () => {
    const queue = new OperationQueue();
    const own = new Error('out of stock');
    await expect(queue.start(() => Promise.reject(own))).rejects.toBe(own);
    expect(queue.rejected).toBeUndefined();
    expect(inProcess(`void queue.start(() => Promise.reject(new Error('out of stock')));`)).toBe(
      'unhandled: out of stock',
    );
  });

  it('goes on after a failure', async () => {
    const queue = new OperationQueue();
    void queue.start(() => Promise.reject(fault()));
    await expect(queue.start(() => Promise.resolve('next'))).resolves.toBe('next');
  });
});
