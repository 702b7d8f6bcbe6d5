/** Nest without any session: the most that this machine can do. */
export const openDoor = () => ({ get() {}, set() {} });
