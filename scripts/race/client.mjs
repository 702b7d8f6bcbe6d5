import { Agent, request } from 'node:http';

const agent = new Agent({ keepAlive: true });

/**
 * @param {number} [patience] milliseconds to wait for the answer
 * @returns {Promise<{ status: number, headers: import('node:http').IncomingHttpHeaders, body: { value?: unknown, code?: string }, cookie?: string, isCleared: boolean }>}
 *   `cookie` is the one that was issued, as the next request sends it
 */
export function post(port, operation, body, cookie, patience) {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', ...(cookie === undefined ? {} : { cookie }) };
    const outgoing = request({ agent, host: '127.0.0.1', port, path: `/${operation}`, method: 'POST', headers });
    const timer = patience && setTimeout(() => outgoing.destroy(new Error('no answer')), patience);
    outgoing.once('close', () => clearTimeout(timer));
    outgoing.once('error', reject).once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.once('error', reject).once('end', () => {
        try {
          const { statusCode: status, headers } = response;
          resolve({ status, headers, body: JSON.parse(text), ...cookieOf(headers) });
        } catch (error) {
          reject(new Error(`/${operation} answered ${response.statusCode} and no JSON: ${text}`, { cause: error }));
        }
      });
    });
    outgoing.end(JSON.stringify(body));
  });
}

/** Of a cookie that is cleared, nothing is left. */
function cookieOf({ 'set-cookie': [line] = [] }) {
  const [pair] = (line ?? '').split(';');
  const isIssued = /=./.test(pair);
  return { cookie: isIssued ? pair : undefined, isCleared: line !== undefined && !isIssued };
}

export const closeConnections = () => agent.destroy();
