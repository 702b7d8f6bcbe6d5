// One visit over two processes, and what has to be true at every step of it.
import { check } from './check.mjs';

/**
 * @param {string[]} urls the addresses of the two processes
 * @param {() => Promise<number>} countRows how many sessions the database has
 */
export async function keepASession([a, b], countRows) {
  let cookie = '';
  const call = async (method, url) => {
    const response = await fetch(url, {
      method,
      headers: cookie ? { cookie } : {},
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${new URL(url).pathname}: ${response.status} ${text}`);
    const [line = ''] = response.headers.getSetCookie();
    if (line) [cookie] = line.split(';');
    return { line, body: text && JSON.parse(text) };
  };
  const nobody = { user: null, count: 0, nickname: null, isNew: true };
  const visits = async (url) => {
    const { id, ...rest } = (await call('GET', `${url}/visits`)).body;
    return { id, rest };
  };

  check('a read sets no cookie', (await call('GET', `${a}/visits`)).line, '');
  check('a read as a stranger', (await visits(a)).rest, nobody);
  check('a read makes no row', await countRows(), 0);

  const first = await call('POST', `${a}/visits`);
  const wholeCookie = /^sid=[\w-]{43}\.[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/;
  if (!wholeCookie.test(first.line))
    throw new Error(`a write sets the cookie: "${first.line.replace(/=[^;]+/, '=…')}"`);
  check('a write makes a row', await countRows(), 1);
  check('the first visit', first.body, { count: 1 });
  check('the second, at the other process', (await call('POST', `${b}/visits`)).body, { count: 2 });
  check('a plain write sets no cookie again', (await call('PUT', `${a}/visits/nickname`)).line, '');
  for (const door of ['decorator', 'service', 'current']) {
    check(`the session through ${door}`, (await call('GET', `${b}/${door}`)).body, { count: 2 });
  }
  const before = await visits(b);
  check('the visitor', before.rest, { user: null, count: 2, nickname: 'Tea', isNew: false });

  // How a transaction ends is told by parts of TypeORM that differ between versions.
  for (const end of ['commit', 'rollback']) {
    await call('POST', `${a}/transaction/${end}`);
    check(`the session after a ${end}`, (await visits(b)).rest, { ...before.rest, nickname: 'Mate' });
  }

  const old = cookie;
  await call('POST', `${a}/account/sign-in`);
  const signedIn = cookie;
  check('sign-in gives the same token', signedIn === old, false);
  const after = await visits(b);
  check('the user, with what was kept', after.rest, { user: 'Ann', count: 2, nickname: null, isNew: false });
  check('the id after sign-in is the one from before', after.id === before.id, true);
  check('sign-in makes no second row', await countRows(), 1);
  cookie = old;
  for (const url of [a, b]) check('the old cookie', (await visits(url)).rest, nobody);

  cookie = signedIn;
  const { line } = await call('POST', `${b}/account/sign-out`);
  check('sign-out removes the cookie', /^sid=; Path=\/; .*Max-Age=0/.test(line), true);
  check('sign-out removes the row', await countRows(), 0);
  cookie = signedIn;
  check('a cookie from before the sign-out', (await visits(a)).rest, nobody);
}
