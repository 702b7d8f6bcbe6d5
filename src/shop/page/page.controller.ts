import { Body, Controller, Get, Header, Post, Query, Redirect } from '@nestjs/common';
import { SessionService } from 'nestjs-typeorm-session';
import { addToCart } from '../cart.js';
import { AddToCartForm } from '../dto/add-to-cart.dto.js';
import { SignIn } from '../dto/sign-in.dto.js';
import type { Shop } from '../shop.js';
import { renderPage } from './page.view.js';

/**
 * The shop as a page, without a line of JavaScript: every form posts, stores, and redirects to the page (303), where the
 * flash message shows once. The redirect leaves after the COMMIT, so whichever node serves the page finds the session.
 *
 * It has the {@link SessionService} injected, so Nest makes this controller anew for every request.
 */
@Controller()
export class PageController {
  constructor(private readonly session: SessionService<Shop>) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  async show(@Query('signed-out') signedOut?: string): Promise<string> {
    // A visit of somebody who has no session yet is not counted: it would cost a row and a cookie for each crawler, and
    // for people who have not done anything to be remembered for.
    const isKnown = !this.session.isNew;
    const notices = isKnown ? this.session.flash('notice').map(String) : [];
    if (signedOut !== undefined) notices.push('You are signed out.');
    return renderPage({
      notices,
      visits: isKnown ? await this.session.increment('visits') : undefined,
      name: this.session.userId,
      cart: this.session.get('cart', []),
      sessionId: isKnown ? this.session.id : undefined,
    });
  }

  @Post('cart')
  @Redirect('/', 303)
  async add(@Body() item: AddToCartForm): Promise<void> {
    await this.session.update('cart', (cart = []) => addToCart(cart, item));
    this.session.flash('notice', `In your cart: ${item.quantity} × ${item.sku}`);
  }

  @Post('sign-in')
  @Redirect('/', 303)
  async signIn(@Body() { name }: SignIn): Promise<void> {
    await this.session.login(name, { keep: ['cart'] });
    this.session.flash('notice', `Welcome, ${name}!`);
  }

  @Post('sign-out')
  // Said by the address and not by a flash message: a message needs a session, and none shall be left.
  @Redirect('/?signed-out', 303)
  async signOut(): Promise<void> {
    await this.session.destroy();
  }
}
