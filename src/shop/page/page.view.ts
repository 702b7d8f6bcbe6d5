import type { CartItem } from '../shop.js';
import { type Html, html } from './html.js';
import { STYLE } from './page.style.js';

export interface Page {
  readonly notices: readonly string[];
  /** `undefined` for who has no session. */
  readonly visits: number | undefined;
  /** `undefined` for who has not signed in. */
  readonly name: string | undefined;
  readonly cart: readonly CartItem[];
  readonly sessionId: string | undefined;
}

const PRODUCTS = [
  { sku: 'assam', name: 'Assam', about: 'Malty, strong, takes milk.' },
  { sku: 'darjeeling', name: 'Darjeeling', about: 'First flush, light as spring.' },
  { sku: 'sencha', name: 'Sencha', about: 'Steamed green tea from Uji.' },
];

/** Which process of a cluster answers. */
const NODE = process.env.NODE_NAME ?? `process ${process.pid}`;

export function renderPage(page: Page): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Session tea shop</title>
        <link rel="icon" href="data:," />
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <header>
          <h1>Session tea shop</h1>
          ${page.name === undefined ? signIn() : signOut(page.name)}
        </header>
        <main>
          ${page.notices.map((notice) => html`<p class="notice" role="status">${notice}</p>`)}
          <p>${greeting(page.visits)}</p>
          <section>
            <h2>Teas</h2>
            <ul class="products">
              ${PRODUCTS.map(product)}
            </ul>
          </section>
          <section>
            <h2>Your cart</h2>
            ${cart(page.cart)}
          </section>
        </main>
        <footer>${page.sessionId ? `Session ${page.sessionId}` : 'No session'}, served by ${NODE}</footer>
      </body>
    </html>`.markup;
}

function greeting(visits: number | undefined): string {
  if (visits === undefined)
    return 'Welcome! For all we know this is your first visit: you have no session, and no cookie was set.';
  return visits === 1 ? 'You have seen this page once.' : `You have seen this page ${visits} times.`;
}

function signIn(): Html {
  return html`<form method="post" action="/sign-in">
    <label>Name <input name="name" required maxlength="64" autocomplete="username" /></label>
    <button>Sign in</button>
  </form>`;
}

function signOut(name: string): Html {
  return html`<form method="post" action="/sign-out">
    <span>Signed in as <strong>${name}</strong></span>
    <button>Sign out</button>
  </form>`;
}

function product({ sku, name, about }: (typeof PRODUCTS)[number]): Html {
  return html`<li>
    <h3>${name}</h3>
    <p>${about}</p>
    <form method="post" action="/cart">
      <input type="hidden" name="sku" value="${sku}" />
      <label>Packs <input name="quantity" type="number" value="1" min="1" max="99" required /></label>
      <button>Add</button>
    </form>
  </li>`;
}

function cart(items: readonly CartItem[]): Html {
  if (items.length === 0) return html`<p>Nothing in it yet.</p>`;
  return html`<ul class="cart">
    ${items.map(({ sku, quantity }) => html`<li><span>${sku}</span> <span>${quantity}</span></li>`)}
  </ul>`;
}
