import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser } from './browser.mjs';

/** Addresses of the running nodes, separated by blanks. */
const urls = (process.env.SHOP_URLS ?? 'http://127.0.0.1:3000').split(' ');

const ann = { name: 'ann', password: 'correct horse' };

const json = async (response) => (await response).json();

test('a visitor has a cart and is nobody', async () => {
  const browser = new Browser(...urls);
  assert.deepEqual(await json(browser.get('/cart')), { cart: [] });
  assert.equal((await browser.get('/profile')).status, 401);
  assert.deepEqual(await json(browser.post('/cart', { item: 'sencha' })), { cart: ['sencha'] });
  assert.deepEqual(await json(browser.post('/cart', { item: 'assam' })), { cart: ['sencha', 'assam'] });
  assert.deepEqual(await json(browser.get('/cart')), { cart: ['sencha', 'assam'] });
  assert.deepEqual(await json(new Browser(...urls).get('/cart')), { cart: [] });
});

test('a sign-in keeps the cart, and its page greets once', async () => {
  const browser = new Browser(...urls);
  await browser.post('/cart', { item: 'sencha' });
  const response = await browser.post('/login', ann);
  assert.deepEqual([response.status, response.headers.get('location')], [303, '/profile']);
  const user = { id: 1, name: 'ann' };
  assert.deepEqual(await json(browser.follow(response)), { user, cart: ['sencha'], messages: ['Welcome back'] });
  assert.deepEqual(await json(browser.get('/profile')), { user, cart: ['sencha'], messages: [] });
});

test('a wrong password signs nobody in, and the form says so once', async () => {
  const browser = new Browser(...urls);
  assert.equal((await browser.post('/login', { ...ann, password: 'wrong' })).status, 401);
  assert.deepEqual((await json(browser.get('/login'))).errors, ['Wrong name or password']);
  assert.deepEqual((await json(browser.get('/login'))).errors, []);
  assert.equal((await browser.get('/profile')).status, 401);
});

test('a forged post is refused', async () => {
  const browser = new Browser(...urls);
  await browser.post('/login', ann);
  assert.equal((await browser.forge('/cart', { item: 'sencha' })).status, 403);
  assert.equal((await browser.forge('/logout')).status, 403);
  assert.equal((await browser.get('/profile')).status, 200);
});

test('a sign-out ends it for every copy of the cookie', async () => {
  const browser = new Browser(...urls);
  await browser.post('/login', ann);
  const response = await browser.post('/logout');
  assert.deepEqual([response.status, response.headers.get('location')], [303, '/login']);
  assert.equal((await browser.get('/profile')).status, 401);
  assert.deepEqual(await json(browser.get('/cart')), { cart: [] });
});
