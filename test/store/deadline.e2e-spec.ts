import { describe, expect, it } from '@jest/globals';
import { whileRowsAreLocked } from '../support/row-lock.js';
import { useBatchLab } from './support/batch-lab.js';

describe('[deadline] an operation that is a part of a longer one', () => {
  const lab = useBatchLab();

  it('ends with that, and not after the whole deadline of the store', async () => {
    const ref = await lab.create({ n: 1 });
    await whileRowsAreLocked(lab.database, async () => {
      const began = performance.now();
      const change = lab.store.apply(ref, { kind: 'increment', key: 'n', by: 1 }, began + 300);
      await expect(change).rejects.toMatchObject({ failure: 'unknown', reason: 'deadline' });
      expect(performance.now() - began).toBeLessThan(3_000);
    });
    expect(await lab.store.read(ref, 'n', performance.now() + 5_000)).toMatchObject({ status: 'read' });
  });
});
