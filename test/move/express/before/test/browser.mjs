/** As much of a browser as the tests need: it keeps cookies, and follows a redirect when it is told to. */
export class Browser {
  #cookies = new Map();

  constructor(...urls) {
    this.urls = urls;
  }

  get cookies() {
    return [...this.#cookies.keys()];
  }

  get(path) {
    return this.#request('GET', path);
  }

  async post(path, body = {}) {
    const { csrfToken } = await (await this.get('/login')).json();
    return this.#request('POST', path, body, { 'x-csrf-token': csrfToken });
  }

  /** Without the token that a page of ours would have had. */
  forge(path, body = {}) {
    return this.#request('POST', path, body, {});
  }

  follow(response) {
    return this.get(response.headers.get('location'));
  }

  /** Each request goes to the next node, as a load balancer without sticky sessions does it. */
  async #request(method, path, body, headers) {
    const [url] = this.urls;
    this.urls.push(this.urls.shift());
    const response = await fetch(new URL(path, url), {
      method,
      redirect: 'manual',
      headers: {
        cookie: [...this.#cookies].map((pair) => pair.join('=')).join('; '),
        ...(body && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const { status, headers: received } = response;
    // To its last byte: express-session holds that back until it has saved, and sends the redirect before.
    const text = await response.text();
    return { status, headers: received, text, json: () => JSON.parse(text) };
  }

  #keep(line) {
    const [pair, ...attributes] = line.split('; ');
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    const isOver = attributes.some((attribute) => attribute === 'Max-Age=0' || attribute.includes('1970'));
    if (isOver) this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }
}
