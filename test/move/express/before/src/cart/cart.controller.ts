import { Body, Controller, Get, Post, Req } from '@nestjs/common';
import type { Request } from 'express';

declare module 'express-session' {
  interface SessionData {
    cart: string[];
  }
}

@Controller('cart')
export class CartController {
  @Get()
  view(@Req() request: Request) {
    return { cart: request.session.cart ?? [] };
  }

  @Post()
  add(@Req() request: Request, @Body('item') item: string) {
    request.session.cart ??= [];
    request.session.cart.push(item);
    return { cart: request.session.cart };
  }
}
