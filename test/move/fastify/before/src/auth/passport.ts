import fastifyPassport from '@fastify/passport';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Strategy } from 'passport-local';
import { UsersService, type User } from './users.service';

declare module 'fastify' {
  interface PassportUser extends User {}
}

/** Tells passport how to find a user, and what of one to keep in the session. */
@Injectable()
export class Passport implements OnModuleInit {
  constructor(private readonly users: UsersService) {}

  onModuleInit() {
    const strategy = new Strategy({ usernameField: 'name' }, (name, password, done) =>
      done(null, this.users.check(name, password) ?? false),
    );
    fastifyPassport.use('local', strategy as never);
    fastifyPassport.registerUserSerializer(async (user: User) => user.id);
    fastifyPassport.registerUserDeserializer(async (id: number) => this.users.byId(id) ?? false);
  }
}
