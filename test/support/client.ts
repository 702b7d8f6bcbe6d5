export interface Reply<Body = unknown> {
  readonly status: number;
  readonly headers: Headers;
  /** Each Set-Cookie header of the response by itself. */
  readonly setCookies: readonly string[];
  /** The parsed JSON; `undefined` where the response is none. */
  readonly body: Body;
  readonly text: string;
}

export interface RequestOptions {
  readonly headers?: Record<string, string>;
  /** Sends the body as an HTML form does instead of as JSON. */
  readonly form?: boolean;
  readonly signal?: AbortSignal;
}

/** One visitor: keeps cookies as a browser does, and follows no redirect. */
export class Client {
  readonly #cookies = new Map<string, string>();

  constructor(private readonly baseUrl: string) {}

  /** A visitor elsewhere (another node, another tab) who holds the same cookies as this one does now. */
  at(baseUrl: string): Client {
    const client = new Client(baseUrl);
    client.cookie = this.cookie;
    return client;
  }

  /** What the next request sends: `sid=…`, or `''`. */
  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  /** Replaces all cookies, for instance by ones that were kept from an earlier request. */
  set cookie(header: string) {
    this.#cookies.clear();
    for (const pair of header.split(';')) {
      const [name, value] = splitPair(pair);
      if (name) this.#cookies.set(name, value);
    }
  }

  get<Body = unknown>(path: string, options?: RequestOptions): Promise<Reply<Body>> {
    return this.request('GET', path, undefined, options);
  }

  post<Body = unknown>(path: string, body?: object, options?: RequestOptions): Promise<Reply<Body>> {
    return this.request('POST', path, body, options);
  }

  async request<Body = unknown>(
    method: string,
    path: string,
    body?: object,
    options: RequestOptions = {},
  ): Promise<Reply<Body>> {
    const response = await fetch(new URL(path, this.baseUrl), {
      method,
      redirect: 'manual',
      headers: {
        ...(this.cookie ? { cookie: this.cookie } : {}),
        ...(body && !options.form ? { 'content-type': 'application/json' } : {}),
        ...options.headers,
      },
      // URLSearchParams bring their own content type.
      ...(body ? { body: options.form ? new URLSearchParams({ ...body }) : JSON.stringify(body) } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const setCookies = response.headers.getSetCookie();
    setCookies.forEach((header) => this.#keep(header));
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') && text !== '';
    return {
      status: response.status,
      headers: response.headers,
      setCookies,
      body: (isJson ? JSON.parse(text) : undefined) as Body,
      text,
    };
  }

  #keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';');
    const [name, value] = splitPair(pair);
    const maxAge = attributes.map(splitPair).find(([attribute]) => attribute.toLowerCase() === 'max-age')?.[1];
    const expires = attributes.map(splitPair).find(([attribute]) => attribute.toLowerCase() === 'expires')?.[1];
    const isOver = maxAge === undefined ? Date.parse(expires ?? '') <= Date.now() : Number(maxAge) <= 0;
    if (isOver) {
      this.#cookies.delete(name);
      return;
    }
    this.#cookies.set(name, value);
  }
}

function splitPair(pair: string): [name: string, value: string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair.trim(), ''] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
}
