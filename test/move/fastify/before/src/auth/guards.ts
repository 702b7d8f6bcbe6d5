import fastifyPassport from '@fastify/passport';
import { CanActivate, ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Signs in, and keeps what the visitor has put into the cart before. */
@Injectable()
export class LocalAuthGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const [request, reply] = [http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>()];
    await new Promise<void>((resolve, reject) => {
      const handler = fastifyPassport.authenticate('local', async (_request, _reply, error, user) => {
        if (error) return reject(error);
        if (user) return resolve(request.logIn(user, { keepSessionInfo: true }));
        request.flash('error', 'Wrong name or password');
        reject(new UnauthorizedException());
      });
      Promise.resolve(handler.call(request.server, request, reply)).catch(reject);
    });
    return true;
  }
}

@Injectable()
export class AuthenticatedGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (context.switchToHttp().getRequest<FastifyRequest>().isAuthenticated()) return true;
    throw new UnauthorizedException();
  }
}
