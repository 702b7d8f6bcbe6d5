/** Resolves when the condition holds, which has to be soon: the time is generous, as machines are busy. */
export async function eventually(condition: () => Promise<boolean> | boolean, milliseconds = 5_000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`it did not happen within ${milliseconds} milliseconds`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
