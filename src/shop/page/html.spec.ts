import { describe, expect, it } from '@jest/globals';
import { html } from './html.js';

describe('html', () => {
  it('escapes what is inserted, in text and in attributes', () => {
    expect(html`<p title="${`"'`}">${'<b>&</b>'}</p>`.markup).toBe(
      '<p title="&quot;&#39;">&lt;b&gt;&amp;&lt;/b&gt;</p>',
    );
  });

  it('inserts what it made itself as it is, one or several', () => {
    const markup = html`<p>${['<a>', 'b'].map((text) => html`<b>${text}</b>`)}</p>`.markup;
    expect(markup).toBe('<p><b>&lt;a&gt;</b><b>b</b></p>');
  });

  it('leaves backslashes alone', () => {
    expect(html`${'a\\n'}`.markup).toBe('a\\n');
  });
});
