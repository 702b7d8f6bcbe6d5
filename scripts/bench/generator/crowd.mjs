// The visitors of one server whose sessions have one size.
import { firstValue } from '../session-data.mjs';
import { randomFrom } from './random.mjs';

export class Crowd {
  /** @param {{ size: number, kilobytes: number, seed: string, keeps: boolean }} options `keeps`: whether there are sessions */
  constructor({ size, kilobytes, seed, keeps }) {
    Object.assign(this, { size, kilobytes, keeps });
    this.random = randomFrom(seed);
    /** By number of the visitor, what signing in has brought; those who sign in while it is measured come behind. */
    this.cookies = [];
    this.values = [];
    this.requests = [];
    this.busy = new Uint8Array(size);
    this.lastValue = 0;
    if (!keeps) for (let visitor = 0; visitor < size; visitor++) this.welcome(visitor, `sid=${'x'.repeat(43)}`);
  }

  welcome(visitor, cookie) {
    this.cookies[visitor] = cookie;
    this.values[visitor] = firstValue(visitor);
    // Made once, since reading is what has to be cheap for us.
    this.requests[visitor] = get('/read', cookie);
  }

  any() {
    return this.random(this.size);
  }

  /** Of two writes at once nobody could tell which one is the last: who writes has to be let go of again. */
  anyAtRest() {
    for (;;) {
      const visitor = this.any();
      if (this.busy[visitor]) continue;
      this.busy[visitor] = 1;
      return visitor;
    }
  }

  letGo(visitor) {
    this.busy[visitor] = 0;
  }

  /** Among the writes of this crowd. */
  newValue() {
    return `value-${++this.lastValue}`;
  }

  /** What `/read` has to answer. */
  expected(visitor) {
    if (!this.keeps) return nothing;
    return `{"visitor":"${visitor}","value":"${this.values[visitor]}"}`;
  }
}

/** What `/read` answers to nobody in particular. */
export const nothing = '{"visitor":null,"value":null}';

export function get(path, cookie) {
  return `GET ${path} HTTP/1.1\r\nHost: bench\r\n${cookie ? `Cookie: ${cookie}\r\n` : ''}\r\n`;
}

export function post(path, cookie) {
  return `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n${cookie ? `Cookie: ${cookie}\r\n` : ''}\r\n`;
}
