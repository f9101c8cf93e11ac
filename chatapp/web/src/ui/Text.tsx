import { useMemo } from "react";
import { pieces } from "../text/links";

/** A message's text. React escapes it; only the addresses in it become links. */
export function Text({ text }: { text: string }) {
  const parts = useMemo(() => pieces(text), [text]);
  return (
    <p className="text" dir="auto">
      {parts.map((piece, i) => piece.href === undefined
        ? piece.text
        : <a key={i} href={piece.href} target="_blank" rel="noopener noreferrer nofollow ugc">{piece.text}</a>)}
    </p>
  );
}
