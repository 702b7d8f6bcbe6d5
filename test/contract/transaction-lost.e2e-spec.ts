import { describe, expect, it } from '@jest/globals';
import { DataSource, type EntityManager } from 'typeorm';
import { PLATFORMS } from '../support/app.js';
import { outcomeOf, useLab } from '../support/lab.js';

describe.each(PLATFORMS)('[answer: save with manager] whose connection is lost on %s', (platform) => {
  const lab = useLab(platform);

  const transaction = <R>(work: (manager: EntityManager) => Promise<R>) =>
    lab.nodes[0].app.get(DataSource).transaction(work);

  it('claims nothing where COMMIT was carried out and its answer lost, and the next request sees what became of it', async () => {
    const client = await lab.visitor({ a: 1 });
    lab.proxy.dropAnswerTo = (sql) => sql.startsWith('COMMIT');
    const seen: unknown[] = [];
    const reply = await lab.act(client, async (session) => {
      try {
        await transaction(async (manager) => {
          session.set('a', 2);
          await session.save({ manager });
        });
      } finally {
        seen.push(session.get('a'));
      }
    });
    lab.proxy.dropAnswerTo = undefined;
    expect([reply.status, seen]).toEqual([500, [1]]);
    expect(await lab.data(client)).toEqual({ a: 2 });
  });

  it('is undone where the connection is lost before COMMIT', async () => {
    const client = await lab.visitor({ a: 1 });
    lab.proxy.dropAnswerTo = (sql) => sql.startsWith('UPDATE');
    const reply = await lab.act(client, (session) =>
      transaction(async (manager) => {
        session.set('a', 2);
        await session.save({ manager });
      }),
    );
    lab.proxy.dropAnswerTo = undefined;
    expect(outcomeOf(reply)).toEqual([503, 'SESSION_UNAVAILABLE']);
    expect(await lab.data(client)).toEqual({ a: 1 });
  });
});
