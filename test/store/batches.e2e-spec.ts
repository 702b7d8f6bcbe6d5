import { describe, expect, it } from '@jest/globals';
import { useLab, type Step } from '../support/lab.js';
import { RawConnection } from '../support/raw-http.js';
import { describeBatches } from './support/describe-batches.js';

describeBatches(false);

describe('requests that arrive together', () => {
  const lab = useLab('fastify');

  it('[batch] share one SELECT and one UPDATE', async () => {
    const visitors = await Promise.all(Array.from({ length: 8 }, () => lab.visitor({ n: 0 })));
    const connections = await Promise.all(visitors.map(() => RawConnection.open(lab.nodes[0].url)));
    const send = (step: Step) => {
      const path = lab.pathOf(step);
      // In one turn here, so that they are there together when the application looks next.
      const replies = connections.map((connection, n) =>
        connection.send({ method: 'POST', path, headers: { cookie: visitors[n]!.cookie } }),
      );
      return Promise.all(replies);
    };
    // Connections that the application has not accepted yet would come one by one.
    await send(() => undefined);
    lab.proxy.reset();
    const replies = await send((session) => session.set('n', 1));
    for (const { status } of replies) expect(status).toBe(200);
    expect(lab.verbs).toEqual(['SELECT', 'UPDATE']);
    for (const { data } of await lab.rows()) expect(data).toEqual({ n: 1 });
  });
});
