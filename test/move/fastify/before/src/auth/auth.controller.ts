import { Controller, Get, Post, Req, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AuthenticatedGuard, LocalAuthGuard } from './guards';

@Controller()
export class AuthController {
  @Get('login')
  form(@Res({ passthrough: true }) reply: FastifyReply) {
    return { csrfToken: reply.generateCsrf(), errors: reply.flash('error') };
  }

  @Post('login')
  @UseGuards(LocalAuthGuard)
  login(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    request.flash('info', 'Welcome back');
    void reply.redirect('/profile', 303);
  }

  @Get('profile')
  @UseGuards(AuthenticatedGuard)
  profile(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply) {
    return { user: request.user, cart: request.session.cart ?? [], messages: reply.flash('info') };
  }

  @Post('logout')
  async logout(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    await request.logOut();
    request.flash('info', 'Goodbye');
    void reply.redirect('/login', 303);
  }
}
