import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { SessionModule } from 'nestjs-typeorm-session';
import { databaseOptions } from './database.js';
import { GracefulShutdown } from './graceful-shutdown.js';
import { HealthController } from './health.controller.js';
import { sessionOptions } from './session.js';
import { ShopModule } from './shop/shop.module.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      // A few seconds for a database that starts beside us; then whoever started us hears that it is not there.
      useFactory: () => ({ ...databaseOptions(), autoLoadEntities: true, retryAttempts: 5, retryDelay: 1000 }),
    }),
    // Not needed by the library. Where it is there, the clean-up of expired sessions shows in its SchedulerRegistry.
    ScheduleModule.forRoot(),
    // `guardAll` stands beside the factory: Nest wants to know the guards before the factory runs.
    SessionModule.forRootAsync({ guardAll: true, useFactory: () => sessionOptions() }),
    ShopModule,
  ],
  controllers: [HealthController, GracefulShutdown],
})
export class AppModule {}
