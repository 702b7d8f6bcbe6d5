import { Html } from './html.js';

export const STYLE = new Html(`
  :root { color-scheme: light dark; --line: light-dark(#ddd5c8, #4a443c); --leaf: light-dark(#2f6b3c, #8fd19e); }
  body { max-width: 46rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
  body { color: light-dark(#2b2620, #eee7dc); background: light-dark(#fbf8f3, #1d1a17); }
  header, form, .cart li { display: flex; flex-wrap: wrap; gap: 0.5rem 0.75rem; align-items: center; }
  header, .cart li { justify-content: space-between; }
  header, footer { border: 0 solid var(--line); padding: 0.75rem 0; }
  header { border-bottom-width: 1px; }
  footer { border-top-width: 1px; margin-top: 2rem; font-size: 0.85rem; opacity: 0.75; overflow-wrap: anywhere; }
  h1 { font-size: 1.4rem; margin: 0; color: var(--leaf); }
  h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
  h3, .products p { margin: 0 0 0.5rem; }
  ul { list-style: none; margin: 0; padding: 0; }
  .products { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
  .products li { border: 1px solid var(--line); border-radius: 0.5rem; padding: 1rem; }
  .cart li { border-bottom: 1px solid var(--line); padding: 0.4rem 0; overflow-wrap: anywhere; }
  .notice { border-left: 0.25rem solid var(--leaf); padding: 0.5rem 0.75rem; background: light-dark(#e9f2e4, #26352a); }
  input { font: inherit; padding: 0.3rem 0.5rem; border: 1px solid var(--line); border-radius: 0.3rem; max-width: 10rem; }
  button { font: inherit; padding: 0.3rem 0.9rem; border: 0; border-radius: 0.3rem; cursor: pointer; }
  button { color: light-dark(#fff, #10240f); background: var(--leaf); }
`);
