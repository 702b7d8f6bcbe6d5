import { Controller, Get, Post, Req, Res, UseGuards } from '@nestjs/common';
import { csrfSync } from 'csrf-sync';
import type { Request, Response } from 'express';
import { AuthenticatedGuard, LocalAuthGuard } from './guards';

const { generateToken } = csrfSync();

@Controller()
export class AuthController {
  @Get('login')
  form(@Req() request: Request) {
    return { csrfToken: generateToken(request), errors: request.flash('error') };
  }

  @Post('login')
  @UseGuards(LocalAuthGuard)
  login(@Req() request: Request, @Res() response: Response) {
    request.flash('info', 'Welcome back');
    response.redirect(303, '/profile');
  }

  @Get('profile')
  @UseGuards(AuthenticatedGuard)
  profile(@Req() request: Request) {
    return { user: request.user, cart: request.session.cart ?? [], messages: request.flash('info') };
  }

  @Post('logout')
  logout(@Req() request: Request, @Res() response: Response) {
    request.logout((error) => {
      if (error) throw error;
      request.flash('info', 'Goodbye');
      response.redirect(303, '/login');
    });
  }
}
