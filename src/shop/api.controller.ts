import { BadRequestException, Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { RequireSession, Session } from 'nestjs-typeorm-session';
import { addToCart } from './cart.js';
import { AddToCart } from './dto/add-to-cart.dto.js';
import { SignIn } from './dto/sign-in.dto.js';
import type { CartItem, Shop } from './shop.js';

interface Me {
  signedIn: boolean;
  name: string | null;
  /** Views of the page since the session began or signed in. */
  visits: number;
  /** Public handle of the session, not the token; `null` for a visitor who has none. */
  sessionId: string | null;
}

/** The shop over JSON. `@Session()` hands in the session of the request, so that the controller stays a singleton. */
@Controller('api')
export class ApiController {
  /** `GET /api/me` → 200 {@link Me}, for everybody. It only reads, so a stranger gets no session by it. */
  @Get('me')
  me(@Session() session: Session<Shop>): Me {
    return {
      signedIn: session.userId !== undefined,
      name: session.userId ?? null,
      visits: session.get('visits', 0),
      sessionId: session.isNew ? null : session.id,
    };
  }

  /**
   * `POST /api/sign-in {"name"}` → 200 `{ name, sessionId }`. The shop believes everybody; yours asks for a password first.
   * Signing in changes the token, so whoever knew the old one is left with nothing.
   */
  @Post('sign-in')
  @HttpCode(200)
  async signIn(@Session() session: Session<Shop>, @Body() { name }: SignIn) {
    await session.login(name, { keep: ['cart'] });
    return { name, sessionId: session.id };
  }

  /** `POST /api/sign-out` → 204, and no session is left: no row and no cookie. */
  @Post('sign-out')
  @HttpCode(204)
  async signOut(@Session() session: Session<Shop>): Promise<void> {
    await session.destroy();
  }

  /** `GET /api/cart` → 200 `[{ sku, quantity }]`. A handler that wants one key asks for that key. */
  @Get('cart')
  cart(@Session<Shop>('cart') cart: CartItem[] = []): CartItem[] {
    return cart;
  }

  /**
   * `POST /api/cart {"sku","quantity"}` → 201 and the cart. With `get` and `set` the second of two tabs that add at once
   * would win; `update` is atomic, so both do, on whatever nodes they land.
   */
  @Post('cart')
  add(@Session() session: Session<Shop>, @Body() item: AddToCart): Promise<CartItem[] | undefined> {
    return session.update('cart', (cart = []) => addToCart(cart, item));
  }

  /**
   * `POST /api/checkout` → 200 `{ ordered }`; 401 unless signed in, 400 where the cart is empty. Of two clicks on "buy"
   * one gets the cart: `take` reads and removes it in one step.
   */
  @Post('checkout')
  @HttpCode(200)
  @RequireSession({ user: true })
  async checkout(@Session() session: Session<Shop>): Promise<{ ordered: CartItem[] }> {
    const ordered = await session.take('cart');
    if (!ordered) throw new BadRequestException('The cart is empty.');
    return { ordered };
  }
}
