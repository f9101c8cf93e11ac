import { useState } from "react";
import { sentence } from "../api";

/** Runs a request for a form: whether it is under way, and what went wrong. */
export function useAction(): { busy: boolean; problem: string; run: (action: () => Promise<void>) => void } {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const run = (action: () => Promise<void>) => {
    setBusy(true);
    setProblem("");
    action()
      .catch((error: unknown) => setProblem(sentence(error)))
      .finally(() => setBusy(false));
  };
  return { busy, problem, run };
}
