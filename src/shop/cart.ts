import { UnprocessableEntityException } from '@nestjs/common';
import type { CartItem } from './shop.js';

/** So that a full cart is an answer of the shop, long before the session reaches its limit of bytes. */
const MAX_ITEMS = 50;

/** The cart with an item more; the same sku twice is one line. Changes nothing in place: `update` may call it again. */
export function addToCart(cart: readonly CartItem[], added: CartItem): CartItem[] {
  if (cart.some(({ sku }) => sku === added.sku)) {
    return cart.map(({ sku, quantity }) => ({
      sku,
      quantity: sku === added.sku ? quantity + added.quantity : quantity,
    }));
  }
  if (cart.length >= MAX_ITEMS) throw new UnprocessableEntityException(`A cart holds ${MAX_ITEMS} different items.`);
  return [...cart, { sku: added.sku, quantity: added.quantity }];
}
