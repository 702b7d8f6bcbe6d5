import { Body, Controller, Get, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface Session {
    cart?: string[];
  }
}

@Controller('cart')
export class CartController {
  @Get()
  view(@Req() request: FastifyRequest) {
    return { cart: request.session.cart ?? [] };
  }

  @Post()
  add(@Req() request: FastifyRequest, @Body('item') item: string) {
    request.session.cart ??= [];
    request.session.cart.push(item);
    return { cart: request.session.cart };
  }
}
