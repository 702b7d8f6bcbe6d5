import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuthModule } from './auth/auth.module';
import { CartController } from './cart/cart.controller';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.DATABASE_URL,
      connectTimeoutMS: 2000,
      autoLoadEntities: true,
      migrations: [join(__dirname, 'migrations/*.js')],
      migrationsRun: true,
    }),
    AuthModule,
  ],
  controllers: [CartController],
})
export class AppModule {}
