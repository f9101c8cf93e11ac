import { useMemo, useState } from "react";
import { keep } from "../chat/browser";
import { activeMembers } from "../store/members";
import { newestSeq, type Row } from "../store/timeline";
import { otherAddress } from "../text/address";
import { useChatState, useRoomState } from "./context";
import { CopyField } from "./CopyField";
import { CheckIcon, CloseIcon } from "./icons";

const DISMISSED = "chat.welcome.dismissed";

/** The card at the beginning of the general room: try it with a second person. */
export function Welcome({ room, rows }: { room: string; rows: readonly Row[] }) {
  const me = useChatState((state) => state.me);
  const typed = useChatState((state) => state.heardTyping);
  const known = useRoomState(room).members;
  const [gone, setGone] = useState(() => keep.get(DISMISSED) !== null);
  const others = useMemo(() => activeMembers(known).filter((m) => m.user.id !== me.id), [known, me.id]);
  if (gone) return null;

  const mine = newestSeq(rows.filter((row) => row.user.id === me.id));
  const first = rows.find((row) => row.state === "sent" && row.user.id === me.id)?.seq ?? 0;
  const wrote = rows.some((row) => row.state === "sent" && row.user.id !== me.id);
  const read = mine > 0 && others.some((m) => m.readSeq >= first);
  const address = otherAddress(location);
  return (
    <section className="welcome" data-testid="welcome" aria-label="Welcome">
      <button className="ghost welcome-close" aria-label="Hide the welcome" onClick={(e) => {
        e.currentTarget.closest<HTMLElement>("[role=log]")?.focus({ preventScroll: true });
        keep.set(DISMISSED, "1");
        setGone(true);
      }}><CloseIcon /></button>
      <h2>Welcome, {me.name}</h2>
      <p>{address.second
        ? "To see it live, open this address in another tab and come in with a second name:"
        : "Invite somebody. This is the address:"}</p>
      <CopyField label="Address for a second person" value={address.href} testid="second-address" />
      <ul className="ticks">
        <Tick name="joined" done={others.length > 0} text="They joined" />
        <Tick name="typed" done={typed || wrote} text="They typed" />
        <Tick name="read" done={read} text={mine > 0 ? "They read what you wrote" : "They read it (write something first)"} />
      </ul>
    </section>
  );
}

function Tick({ name, done, text }: { name: string; done: boolean; text: string }) {
  return (
    <li className="tick" data-testid={`tick-${name}`} data-done={done}>
      <span className="tick-box" aria-hidden="true">{done && <CheckIcon />}</span>
      {text}<span className="unseen">{done ? ", done" : ", not yet"}</span>
    </li>
  );
}
