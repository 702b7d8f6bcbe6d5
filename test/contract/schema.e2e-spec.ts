import { Body, Controller, Get, ParseIntPipe, Post } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Type } from 'class-transformer';
import {
  IsArray,
  IsInt,
  IsOptional,
  IsString,
  MaxLength,
  Min,
  registerDecorator,
  ValidateNested,
} from 'class-validator';
import { createSessionDecorator, Session } from 'nestjs-typeorm-session';
import { PLATFORMS, startApp, type TestApp } from '../support/app.js';
import { createDatabase, migrate, type TestDatabase } from '../support/database.js';

class Item {
  @IsString()
  sku!: string;

  @IsInt()
  @Min(1)
  quantity!: number;
}

class Shop {
  @IsOptional()
  @IsArray()
  @ValidateNested({ each: true })
  @Type(() => Item)
  cart?: Item[];

  @IsOptional()
  @IsString()
  @MaxLength(20)
  name?: string;

  @IsOptional()
  @IsInt()
  visits?: number;
}

const ShopSession = createSessionDecorator<Shop>();

@Controller()
class ShopController {
  @Get('peek')
  peek(@Session() session: Session<Shop>) {
    return { keys: session.keys(), name: session.get('name') ?? null, hasName: session.has('name') };
  }

  @Post('set')
  set(@Session() session: Session, @Body() values: Record<string, unknown>) {
    for (const [key, value] of Object.entries(values)) session.set(key, value);
  }

  @Post('push')
  push(@Session() session: Session<Shop>, @Body() item: Item) {
    const cart = session.get('cart', []);
    cart.push(item);
    session.set('cart', cart);
    cart.push({ ...item, quantity: 0 });
  }

  @Post('append')
  async append(@Session() session: Session, @Body() item: object) {
    return { length: await session.append('cart', item) };
  }

  @Post('forget')
  forget(@Session() session: Session<Shop>) {
    session.delete('name');
  }

  @Get('value')
  value(@ShopSession('name') name: string = 'nobody', @ShopSession('visits') visits: number | undefined) {
    return { name, visits: visits ?? null };
  }

  @Get('piped')
  piped(@Session<Shop>('name', new ParseIntPipe({ optional: true })) name: number | undefined) {
    return { name: name ?? null };
  }

  // What follows does not compile, and that is the test: `npm run typecheck` goes red where a directive is not needed.
  protected types(
    session: Session<Shop>,
    // @ts-expect-error no such key
    @ShopSession('nmae') _unknown: string | undefined,
    // @ts-expect-error no such key
    @Session<Shop>('nmae') _other: string | undefined,
  ) {
    // @ts-expect-error a name is text
    session.set('name', 42);
    // @ts-expect-error no such key
    session.get('nmae');
    // @ts-expect-error the cart holds items
    void session.append('cart', 'tea');
    const name: string = session.get('name', 'nobody');
    // @ts-expect-error there may be no name
    const uncertain: string = session.get('name');
    return [name, uncertain];
  }

  notText(
    // @ts-expect-error a name is no number
    @ShopSession('name') name: number | undefined,
    // @ts-expect-error a session may have no name
    @Session<Shop, 'name'>('name') certain: string,
  ) {
    return [name, certain];
  }
}

describe.each(PLATFORMS)('the schema on %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createDatabase();
    await migrate(database.url);
    const session = { guardAll: true, cleanup: false as const, schema: Shop };
    app = await startApp({ platform, databaseUrl: database.url, controllers: [ShopController], session });
  });
  afterEach(() => void app.events.splice(0));
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  const stored = async () =>
    (await database.query<{ data: unknown }>('SELECT data FROM sessions ORDER BY created_at DESC LIMIT 1'))[0]!.data;

  it('[answer: schema] refuses a value when it is set, naming the key and the rule and not the value', async () => {
    const client = app.client();
    await client.post('/set', { name: 'Ann', cart: [{ sku: 'tea', quantity: 1 }] });
    const bad = [
      [{ name: 42 }, '$.name breaks the schema: maxLength, isString'],
      [{ cart: [{ sku: 'tea', quantity: 0 }] }, '$.cart breaks the schema: cart.0.quantity.min'],
      [{ secret: 'x' }, '$.secret breaks the schema: whitelistValidation'],
    ] as const;
    for (const [values, sentence] of bad) {
      const reply = await client.post<{ message: string }>('/set', values);
      expect(reply).toMatchObject({ status: 500, body: { code: 'SESSION_VALUE' } });
      expect(reply.body.message).toContain(sentence.split(':')[0]);
    }
    expect(await stored()).toEqual({ name: 'Ann', cart: [{ sku: 'tea', quantity: 1 }] });
  });

  it('[answer: schema] refuses what became wrong after it was set', async () => {
    const client = app.client();
    await client.post('/set', { visits: 1 });
    const reply = await client.post('/push', { sku: 'tea', quantity: 1 });
    expect(reply).toMatchObject({ status: 500, body: { code: 'SESSION_VALUE' } });
    expect(await stored()).toEqual({ visits: 1 });
  });

  it('[answer: schema] refuses an atomic operation that would break it', async () => {
    const client = app.client();
    await client.post('/set', { cart: [{ sku: 'tea', quantity: 1 }] });
    const refused = { status: 500, body: { code: 'SESSION_VALUE' } };
    expect(await client.post('/append', { sku: 'tea', quantity: 0 })).toMatchObject(refused);
    expect(await stored()).toEqual({ cart: [{ sku: 'tea', quantity: 1 }] });
    expect(await client.post('/append', { sku: 'tea', quantity: 2 })).toMatchObject({ body: { length: 2 } });
  });

  it('[answer: schema] drops an invalid stored key from the view, never from the row, and reports it', async () => {
    const client = app.client();
    await client.post('/set', { name: 'Ann', visits: 3 });
    await database.query(`UPDATE sessions SET data = data || '{"name": 42, "legacy": true}'`);
    expect((await client.get('/peek')).body).toEqual({ keys: ['visits'], name: null, hasName: false });
    expect(app.events).toContainEqual(expect.objectContaining({ type: 'invalid-key', key: 'name' }));
    expect(app.events).toContainEqual(expect.objectContaining({ type: 'invalid-key', key: 'legacy' }));
    await client.post('/set', { visits: 4 });
    expect(await stored()).toEqual({ name: 42, legacy: true, visits: 4 });
    await client.post('/forget');
    expect(await stored()).toEqual({ legacy: true, visits: 4 });
  });

  it('[answer: schema] hands values to parameters, through pipes too', async () => {
    const client = app.client();
    expect((await client.get('/value')).body).toEqual({ name: 'nobody', visits: null });
    await client.post('/set', { name: '42', visits: 2 });
    expect((await client.get('/value')).body).toEqual({ name: '42', visits: 2 });
    expect((await client.get('/piped')).body).toEqual({ name: 42 });
    await client.post('/set', { name: 'Ann' });
    expect((await client.get('/piped')).status).toBe(400);
  });

  it('[answer: schema] stops the boot with an asynchronous validator, nested too, and without any', async () => {
    const Later = () => (target: object, propertyName: string) =>
      registerDecorator({
        name: 'later',
        target: target.constructor,
        propertyName,
        async: true,
        validator: { validate: () => Promise.resolve(true) },
      });
    class Inner {
      @Later()
      value!: string;
    }
    class Direct {
      @Later()
      value!: string;
    }
    class Nested {
      @ValidateNested()
      @Type(() => Inner)
      inner!: Inner;
    }
    class NestedList {
      @ValidateNested({ each: true })
      @Type(() => Inner)
      inner!: Inner[];
    }
    class Undecorated {}
    const boot = (schema: new () => object) =>
      startApp({ platform, databaseUrl: database.url, session: { cleanup: false, schema } });
    await expect(boot(Direct)).rejects.toThrow(/Direct has an asynchronous validator on "value"/);
    await expect(boot(Nested)).rejects.toThrow(/Inner has an asynchronous validator/);
    await expect(boot(NestedList)).rejects.toThrow(/Inner has an asynchronous validator/);
    await expect(boot(Undecorated)).rejects.toThrow(/Undecorated has no class-validator decorators/);
  });
});
