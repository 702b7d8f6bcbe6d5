// One process of an application with a cache. Its parent names the database, is told the port, and ends it by closing the
// channel.
import 'reflect-metadata';
import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { Session, type SessionModuleOptions } from 'nestjs-typeorm-session';
import { startApp } from '../support/app.js';

@Controller()
class VisitsController {
  @Get()
  read(@Session() session: Session) {
    return { visitor: session.get('visitor') ?? null };
  }

  @Post('arrive')
  @HttpCode(200)
  arrive(@Session() session: Session) {
    session.set('visitor', session.id);
    return { visitor: session.id };
  }

  @Post('write')
  @HttpCode(200)
  write(@Session() session: Session) {
    session.set('written', Math.random());
    return {};
  }

  @Post('destroy')
  @HttpCode(200)
  async destroy(@Session() session: Session) {
    await session.destroy();
    return {};
  }

  @Post('regenerate')
  @HttpCode(200)
  async regenerate(@Session() session: Session) {
    await session.regenerate();
    return {};
  }

  @Post('login')
  @HttpCode(200)
  async login(@Session() session: Session) {
    await session.login('u', { keep: ['visitor'] });
    return {};
  }
}

const databaseUrl = process.argv[2]!;
// Whoever waits for a connection on a busy machine is not what is tested.
const session: SessionModuleOptions = { cache: {}, deadline: '15s' };
const node = await startApp({ platform: 'fastify', databaseUrl, controllers: [VisitsController], session });
process.once('disconnect', () => process.exit());
process.send!({ url: node.url });
