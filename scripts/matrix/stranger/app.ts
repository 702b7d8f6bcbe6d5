import 'reflect-metadata';
import { Controller, Get, HttpCode, Injectable, Module, Post, Put, type INestApplication } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  createSessionDecorator,
  CreateSessionFunctions1764300000000,
  CreateSessions1764000000000,
  CurrentSession,
  Session,
  SessionModule,
  SessionService,
} from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import { loaded } from './loaded.js';

interface Visits {
  count: number;
  nickname: string;
}

const VisitSession = createSessionDecorator<Visits>();

@Controller('visits')
class VisitsController {
  @Get()
  read(@Session() session: Session<Visits>) {
    const { id, userId: user = null, isNew } = session;
    return { id, user, count: session.get('count', 0), nickname: session.get('nickname') ?? null, isNew };
  }

  @Post()
  async add(@Session() session: Session<Visits>) {
    return { count: await session.increment('count') };
  }

  @Put('nickname')
  rename(@Session() session: Session<Visits>) {
    session.set('nickname', 'Tea');
  }
}

@Controller('account')
class AccountController {
  @Post('sign-in')
  async signIn(@Session() session: Session<Visits>) {
    await session.login('Ann', { keep: ['count'] });
  }

  @Post('sign-out')
  @HttpCode(204)
  async signOut(@Session() session: Session<Visits>) {
    await session.destroy();
  }
}

@Controller('transaction')
class TransactionController {
  constructor(private readonly dataSource: DataSource) {}

  @Post('commit')
  async commit(@Session() session: Session<Visits>) {
    await this.dataSource.transaction(async (manager) => {
      session.set('nickname', 'Mate');
      await session.save({ manager });
      const savepoint = manager.transaction(() => Promise.reject(new Error('undone alone')));
      await savepoint.catch(() => undefined);
    });
  }

  @Post('rollback')
  async rollback(@Session() session: Session<Visits>) {
    const transaction = this.dataSource.transaction(async (manager) => {
      session.set('nickname', 'Coffee');
      await session.save({ manager });
      throw new Error('undone with the session');
    });
    await transaction.catch(() => undefined);
  }
}

@Controller('decorator')
class DecoratorController {
  @Get()
  read(@VisitSession('count') count: number = 0) {
    return { count };
  }
}

@Controller('service')
class ServiceController {
  constructor(private readonly session: SessionService<Visits>) {}

  @Get()
  read() {
    return { count: this.session.get('count', 0) };
  }
}

@Injectable()
class VisitCounter {
  constructor(private readonly session: CurrentSession<Visits>) {}

  count() {
    return this.session.get('count', 0);
  }
}

@Controller('current')
class CurrentController {
  constructor(private readonly counter: VisitCounter) {}

  @Get()
  read() {
    return { count: this.counter.count() };
  }
}

@Controller('loaded')
class LoadedController {
  @Get()
  read() {
    return loaded();
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.DATABASE_URL,
      autoLoadEntities: true,
      migrations: [CreateSessions1764000000000, CreateSessionFunctions1764300000000],
      migrationsRun: true,
      connectTimeoutMS: 2000,
    }),
    SessionModule.forRoot({
      guardAll: true,
      currentSession: true,
      secrets: ['a secret that is long enough to be one'],
    }),
  ],
  controllers: [
    VisitsController,
    AccountController,
    TransactionController,
    DecoratorController,
    ServiceController,
    CurrentController,
    LoadedController,
  ],
  providers: [VisitCounter],
})
export class AppModule {}

export async function serve(app: INestApplication) {
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  console.log(`listening ${await app.getUrl()}`);
}
