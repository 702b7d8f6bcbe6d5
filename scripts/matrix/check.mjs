export function check(what, actual, wanted) {
  const [is, should] = [actual, wanted].map((value) => JSON.stringify(value));
  if (is !== should) throw new Error(`${what}: ${is} instead of ${should}`);
}
