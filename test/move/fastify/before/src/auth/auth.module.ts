import { Module } from '@nestjs/common';
import { AuthController } from './auth.controller';
import { Passport } from './passport';
import { UsersService } from './users.service';

@Module({
  controllers: [AuthController],
  providers: [UsersService, Passport],
})
export class AuthModule {}
