// One visit at the processes whose express-session has our store.
import { check } from './check.mjs';

/** @param {string[]} urls of processes that share a database */
export async function keepALegacySession(urls) {
  let cookie = '';
  const call = async (method, url) => {
    const response = await fetch(`${url}/legacy`, {
      method,
      headers: cookie ? { cookie } : {},
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} /legacy: ${response.status} ${text}`);
    const [line] = response.headers.getSetCookie();
    if (line) [cookie] = line.split(';');
    return JSON.parse(text);
  };
  check('express-session without a session', [await call('GET', urls[0]), cookie], [{ count: null }, '']);
  for (const [index, url] of [...urls, ...urls].entries()) {
    check('a visit with express-session', await call('POST', url), { count: index + 1 });
  }
  const old = cookie;
  await call('DELETE', urls[0]);
  cookie = old;
  for (const url of urls) check('express-session after the sign-out', await call('GET', url), { count: null });
}
