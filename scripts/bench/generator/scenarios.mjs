// What visitors do. A scenario makes the next request of a connection, nothing where there is none left, and judges the
// answer: `body` of a response that is 2xx. What it has to remember meanwhile it keeps on the connection.
import { wholeLength } from '../session-data.mjs';
import { get, nothing, post } from './crowd.mjs';

export class Scenario {
  constructor(crowd) {
    this.crowd = crowd;
  }

  /** @returns {string} what is wrong */
  refused(_, status, body) {
    return `answered ${status} ${body.slice(0, 200)}`;
  }

  /** @returns {string | undefined} what is wrong */
  compare(body, expected) {
    return body === expected ? undefined : `answered ${body} instead of ${expected}`;
  }
}

class Read extends Scenario {
  request(connection) {
    connection.visitor = this.crowd.any();
    return this.crowd.requests[connection.visitor];
  }

  answer(connection, body) {
    return this.compare(body, this.crowd.expected(connection.visitor));
  }
}

class Anonymous extends Scenario {
  #request = get('/read');

  request() {
    return this.#request;
  }

  answer(_, body) {
    return this.compare(body, nothing);
  }
}

/** Cookies as somebody would make them up who has seen one. */
class Forged extends Scenario {
  #requests = this.crowd.cookies.slice(0, this.crowd.size).map((cookie) => get('/read', this.#forge(cookie)));

  request() {
    return this.#requests[this.crowd.any()];
  }

  answer(_, body) {
    return this.compare(body, nothing);
  }

  #forge(cookie) {
    // The token is there in all of them, whatever stands before it and behind it.
    const begin = cookie.indexOf('=') + 8;
    const forged = Array.from({ length: 12 }, () => 'abcdefghijklmnopqrstuvwxyz'[this.crowd.random(26)]).join('');
    return cookie.slice(0, begin) + forged + cookie.slice(begin + forged.length);
  }
}

/** Each write answers with the value before it, which has to be the one that was acknowledged last. */
class Write extends Scenario {
  request(connection) {
    const visitor = this.crowd.anyAtRest();
    connection.visitor = visitor;
    connection.value = this.crowd.newValue();
    return post(`/write/${connection.value}`, this.crowd.cookies[visitor]);
  }

  answer({ visitor, value }, body) {
    const complaint = this.compare(body, this.crowd.expected(visitor));
    this.crowd.values[visitor] = value;
    this.crowd.letGo(visitor);
    return complaint;
  }

  refused(connection, status, body) {
    this.crowd.letGo(connection.visitor);
    return super.refused(connection, status, body);
  }
}

/** Everybody signs in once. */
class Arrive extends Scenario {
  #next = 0;

  request(connection) {
    if (this.#next === this.crowd.size) return undefined;
    return signIn(connection, this.#next++, this.crowd.kilobytes);
  }

  answer(connection, body, head) {
    return welcome(this, connection, body, head);
  }
}

/** New visitors sign in, behind those who are there. */
class SignIn extends Scenario {
  #next = this.crowd.cookies.length;

  request(connection) {
    return signIn(connection, this.#next++, this.crowd.kilobytes);
  }

  answer(connection, body, head) {
    return welcome(this, connection, body, head);
  }
}

function signIn(connection, visitor, kilobytes) {
  connection.visitor = visitor;
  return post(`/sign-in/${visitor}/${kilobytes}`);
}

function welcome(scenario, { visitor }, body, head) {
  const cookies = [...head.matchAll(/\r\nset-cookie: ([^;\r]+)/gi)];
  if (cookies.length !== 1) return `a sign-in brought ${cookies.length} cookies`;
  scenario.crowd.welcome(visitor, cookies[0][1]);
  return scenario.compare(body, `{"visitor":"${visitor}"}`);
}

/** Everybody looks once whether all is there: the value that was stored last, and all of what was there from the start. */
class ReadBack extends Scenario {
  #next = 0;
  #length = wholeLength(this.crowd.kilobytes);

  request(connection) {
    if (this.#next >= this.crowd.cookies.length) return undefined;
    connection.visitor = this.#next++;
    return get('/whole', this.crowd.cookies[connection.visitor]);
  }

  answer({ visitor }, body) {
    return this.compare(body, this.crowd.expected(visitor).replace('}', `,"length":${this.#length}}`));
  }
}

export const scenarios = {
  anonymous: Anonymous,
  forged: Forged,
  read: Read,
  write: Write,
  'sign-in': SignIn,
  arrive: Arrive,
  'read back': ReadBack,
};
