// The other side of workers.js: what a worker does with its message.

import { PreviewFailure } from "./failure.js";

export function answer(work) {
  self.onmessage = async ({ data }) => {
    try {
      self.postMessage({ result: await work(data) });
    } catch (error) {
      self.postMessage({ problem: String(error.message), isForPeople: error instanceof PreviewFailure });
    }
  };
}
