import { Injectable } from '@nestjs/common';
import { PassportSerializer } from '@nestjs/passport';
import { User, UsersService } from './users.service';

@Injectable()
export class SessionSerializer extends PassportSerializer {
  constructor(private readonly users: UsersService) {
    super();
  }

  serializeUser(user: User, done: (error: Error | null, id: number) => void) {
    done(null, user.id);
  }

  deserializeUser(id: number, done: (error: Error | null, user: User | false) => void) {
    done(null, this.users.byId(id) ?? false);
  }
}
