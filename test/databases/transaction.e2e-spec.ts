import { ConflictException } from '@nestjs/common';
import { beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Session } from 'nestjs-typeorm-session';
import { DataSource, Table, type DataSourceOptions, type EntityManager } from 'typeorm';
import { useDatabase } from '../support/database-lab.js';
import { describeDatabases } from '../support/describe-databases.js';
import { outcomeOf } from '../support/lab.js';

const REFUSED = [500, 'SESSION_TRANSACTION'];

describeDatabases('[answer: save with manager]', (database, platform) => {
  const lab = useDatabase(database, platform, { session: { deadline: '2s' } });

  beforeAll(async () => {
    const columns = [{ name: 'id', type: 'integer', isPrimary: true }];
    await lab.dataSource.createQueryRunner().createTable(new Table({ name: 'orders', columns }));
  });

  beforeEach(() => lab.dataSource.query('DELETE FROM orders'));

  const order = (manager: EntityManager) => manager.query('INSERT INTO orders (id) VALUES (1)');
  const orders = async () => (await lab.dataSource.query<unknown[]>('SELECT id FROM orders')).length;
  const transaction = <R>(work: (manager: EntityManager) => Promise<R>) => lab.dataSource.transaction(work);

  it('commits the order and the session together', async () => {
    const client = await lab.visitor({ cart: [1] });
    await lab.value(client, async (session) => {
      await transaction(async (manager) => {
        await order(manager);
        session.delete('cart');
        session.set('ordered', 1);
        await session.save({ manager });
      });
    });
    expect([await orders(), await lab.data(client)]).toEqual([1, { ordered: 1 }]);
  });

  it('undoes both, in the view as well, and saves nothing of it later', async () => {
    const client = await lab.visitor({ cart: [1], kept: 'before' });
    const seen = await lab.value(client, async (session) => {
      session.set('earlier', 1);
      const failed = transaction(async (manager) => {
        await order(manager);
        session.delete('cart');
        session.set('ordered', 1);
        await session.save({ manager });
        session.set('ordered', 2);
        await session.save({ manager });
        session.set('later', 1);
        throw new ConflictException();
      });
      await expect(failed).rejects.toThrow(ConflictException);
      return Object.fromEntries(session.entries()) as unknown;
    });
    // What was changed and not saved in the transaction is no part of it.
    expect(seen).toEqual({ cart: [1], kept: 'before', later: 1 });
    expect([await orders(), await lab.data(client)]).toEqual([0, { cart: [1], kept: 'before', later: 1 }]);
  });

  // A database that cannot be shared by two nodes has one connection, and all of it is in the transaction.
  const itByItself = database.nodes > 1 ? it : () => undefined;

  itByItself('is not part of a transaction without being asked', async () => {
    const client = await lab.visitor();
    await lab.value(client, async (session) => {
      const failed = transaction(async (manager) => {
        // In this order: SQLite has one writer at a time.
        session.set('own', 1);
        await session.save();
        await order(manager);
        throw new ConflictException();
      });
      await expect(failed).rejects.toThrow(ConflictException);
    });
    expect([await orders(), await lab.data(client)]).toEqual([0, { visitor: true, own: 1 }]);
  });

  it('inserts the first row with the transaction, and issues its cookie only if that commits', async () => {
    const committed = lab.client();
    const [kept] = (
      await lab.act(committed, (session) =>
        transaction(async (manager) => {
          session.set('first', 1);
          await session.save({ manager });
        }),
      )
    ).setCookies;
    expect(kept).toMatch(/^sid=/);
    expect(await lab.data(committed)).toEqual({ first: 1 });

    const undone = lab.client();
    const reply = await lab.act(undone, (session) =>
      transaction(async (manager) => {
        session.set('first', 1);
        await session.save({ manager });
        throw new ConflictException();
      }),
    );
    expect([reply.status, reply.setCookies]).toEqual([409, []]);
    expect(await lab.rows()).toHaveLength(1);
  });

  it('refuses other writes until the transaction has ended, and takes them afterwards', async () => {
    const client = await lab.visitor();
    const writes: ((session: Session) => Promise<unknown>)[] = [
      (session) => session.save(),
      (session) => session.increment('n'),
      (session) => session.take('visitor'),
      (session) => session.update('n', () => 1),
      (session) => session.regenerate(),
      (session) => session.login('u'),
      (session) => session.destroy(),
      (session) => session.touch(),
    ];
    for (const write of writes) {
      const reply = await lab.act(client, (session) =>
        transaction(async (manager) => {
          session.set('a', 1);
          await session.save({ manager });
          session.set('b', 1);
          await write(session);
        }),
      );
      expect(outcomeOf(reply)).toEqual(REFUSED);
    }
    expect(await lab.data(client)).toEqual({ visitor: true });
    await lab.value(client, async (session) => {
      await transaction(async (manager) => {
        session.set('a', 1);
        await session.save({ manager });
      });
      await session.increment('n');
      await session.regenerate();
    });
    expect(await lab.data(client)).toEqual({ visitor: true, a: 1, n: 1 });
  });

  it('follows a savepoint: what it undoes is undone here, what it keeps ends with the transaction', async () => {
    const client = await lab.visitor();
    const kept = await lab.act(client, (session) =>
      transaction(async (manager) => {
        const failed = manager.transaction(async (inner) => {
          session.set('inner', 1);
          await session.save({ manager: inner });
          throw new ConflictException();
        });
        await expect(failed).rejects.toThrow(ConflictException);
        await manager.transaction(async (inner) => {
          session.set('outer', 1);
          await session.save({ manager: inner });
        });
        // Saved in a savepoint that is released, and beside one that is undone.
        await expect(manager.transaction(() => Promise.reject(new ConflictException()))).rejects.toThrow();
        expect(session.get('outer')).toBe(1);
        await expect(session.increment('n')).rejects.toMatchObject({ code: 'SESSION_TRANSACTION' });
      }),
    );
    // An operation that failed fails the response, and the transaction stands.
    expect(outcomeOf(kept)).toEqual(REFUSED);
    expect(await lab.data(client)).toEqual({ visitor: true, outer: 1 });

    const reply = await lab.act(client, (session) =>
      transaction(async (manager) => {
        await manager.transaction(async (inner) => {
          session.set('lost', 1);
          await session.save({ manager: inner });
        });
        throw new ConflictException();
      }),
    );
    expect(reply.status).toBe(409);
    expect(await lab.data(client)).toEqual({ visitor: true, outer: 1 });
  });

  it('refuses a manager without a transaction, and one whose transaction is over', async () => {
    const client = await lab.visitor();
    let over: EntityManager | undefined;
    await transaction(async (manager) => {
      over = manager;
    });
    for (const manager of [lab.dataSource.manager, over!, {}]) {
      const reply = await lab.act(client, (session) => {
        session.set('a', 1);
        return session.save({ manager });
      });
      expect(outcomeOf(reply)).toEqual(REFUSED);
      expect(reply.body.message).toContain('dataSource.transaction()');
    }
    expect(await lab.data(client)).toEqual({ visitor: true });
  });

  it('refuses the manager of another data source', async () => {
    const client = await lab.visitor();
    const other = await new DataSource(lab.database.typeorm as DataSourceOptions).initialize();
    const reply = await lab.act(client, (session) =>
      other.transaction((manager) => {
        session.set('a', 1);
        return session.save({ manager });
      }),
    );
    await other.destroy();
    expect(outcomeOf(reply)).toEqual(REFUSED);
    expect(reply.body.message).toContain('another data source');
  });

  it('holds the response back until the transaction has ended, and is an error where it does not', async () => {
    const client = await lab.visitor();
    const runner = lab.dataSource.createQueryRunner();
    let commit: Promise<void> | undefined;
    const reply = await lab.act(client, async (session) => {
      await runner.startTransaction();
      session.set('a', 1);
      await session.save({ manager: runner.manager });
      // The handler is over, and its transaction is not.
      commit = new Promise((resolve) => setTimeout(() => resolve(runner.commitTransaction()), 100));
    });
    await commit;
    await runner.release();
    expect(reply.status).toBe(200);
    expect(await lab.data(client)).toEqual({ visitor: true, a: 1 });

    const endless = lab.dataSource.createQueryRunner();
    const refused = await lab.act(client, async (session) => {
      await endless.startTransaction();
      session.set('a', 2);
      await session.save({ manager: endless.manager });
    });
    expect(outcomeOf(refused)).toEqual(REFUSED);
    await endless.rollbackTransaction();
    await endless.release();
    expect(await lab.data(client)).toEqual({ visitor: true, a: 1 });
  });

  it('tells the application that the session is gone, whose transaction then does not commit', async () => {
    const client = await lab.visitor();
    const reply = await lab.act(client, async (session) => {
      session.keys();
      await lab.sessions.clear();
      await transaction(async (manager) => {
        await order(manager);
        session.set('a', 1);
        await session.save({ manager });
      });
    });
    expect(outcomeOf(reply)).toEqual([401, 'SESSION_GONE']);
    expect([await orders(), await lab.rows()]).toEqual([0, []]);
  });
});
