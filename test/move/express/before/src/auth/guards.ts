import { CanActivate, ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import type { Request } from 'express';

/** Signs in, and keeps what the visitor has put into the cart before. */
@Injectable()
export class LocalAuthGuard extends AuthGuard('local') {
  constructor() {
    super({ keepSessionInfo: true });
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await super.canActivate(context);
    await super.logIn(context.switchToHttp().getRequest());
    return true;
  }

  handleRequest<User>(error: Error | null, user: User | false, _info: unknown, context: ExecutionContext): User {
    if (user) return user;
    context.switchToHttp().getRequest<Request>().flash('error', 'Wrong name or password');
    throw error ?? new UnauthorizedException();
  }
}

@Injectable()
export class AuthenticatedGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (context.switchToHttp().getRequest<Request>().isAuthenticated()) return true;
    throw new UnauthorizedException();
  }
}
