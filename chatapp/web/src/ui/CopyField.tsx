import { useRef, useState } from "react";

type Props = { label: string; value: string; testid?: string };

/** A value to hand on, with a button that copies it. */
export function CopyField({ label, value, testid }: Props) {
  const ref = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setCopied(true);
    } catch {
      // No clipboard on plain http: select it, so that the keys do.
      ref.current?.select();
    }
  };
  return (
    <div className="copy">
      <input ref={ref} readOnly value={value} aria-label={label} data-testid={testid} onFocus={(e) => e.target.select()} />
      <button type="button" onClick={() => void copy()}>{copied ? "Copied" : "Copy"}</button>
    </div>
  );
}
