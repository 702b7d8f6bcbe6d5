// As little of HTTP/1.1 as our own servers answer with: one request at a time, bodies with a length. Node's own client,
// and the load generators built on it, would cost more than the servers that they measure.
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';
const SILENCE = 10_000;

export class Connection {
  #socket;
  #text = '';
  /** @type {(status: string, body: string, head: string) => void} */
  onAnswer;
  /** @type {(error: Error) => void} */
  onFailure;

  /** @returns {Promise<Connection>} */
  static open(port) {
    const connection = new Connection();
    return new Promise((resolve, reject) => {
      connection.onFailure = reject;
      connection.#connect(port, () => resolve(connection));
    });
  }

  #connect(port, connected) {
    const buffer = Buffer.alloc(64 * 1024);
    const receive = (length) => {
      this.#receive(buffer.latin1Slice(0, length));
      return true;
    };
    // Into one buffer for ever: a stream would allocate one per answer.
    this.#socket = connect(
      { port, host: '127.0.0.1', noDelay: true, onread: { buffer, callback: receive } },
      connected,
    );
    this.#socket.setTimeout(SILENCE, () => this.#socket.destroy(new Error('no answer for 10 seconds')));
    this.#socket.once('error', (error) => this.onFailure(error));
    this.#socket.once('close', () => this.onFailure(new Error('the server closed the connection')));
  }

  send(request) {
    this.#socket.write(request, 'latin1');
  }

  close() {
    this.onFailure = () => {};
    this.#socket.destroy();
  }

  #receive(text) {
    this.#text += text;
    const headEnd = this.#text.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#text.slice(0, headEnd);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.onFailure(new Error(`an answer without a length: ${head}`));
      return;
    }
    const bodyBegin = headEnd + HEAD_END.length;
    if (this.#text.length < bodyBegin + Number(length)) return;
    const body = this.#text.slice(bodyBegin);
    this.#text = '';
    this.onAnswer(head.slice(9, 12), body, head);
  }
}
